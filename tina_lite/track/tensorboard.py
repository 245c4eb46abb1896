"""TensorBoard: event files in RUN/tensorboard, for `tensorboard --logdir runs`."""

import json
from collections.abc import Mapping

from tina_lite.track.listening import Beginning


class _Board:
    def __init__(self, beginning: Beginning) -> None:
        from torch.utils.tensorboard import SummaryWriter

        # purge_step: what a killed session logged after the checkpoint that this one goes on from is dropped
        purge_step = beginning.resumed_from_step + 1 if beginning.resumed_from_step else None
        self._writer = SummaryWriter(str(beginning.folder / "tensorboard"), purge_step=purge_step)
        if not beginning.resumed_from_step:
            recipe = json.dumps(beginning.config, indent=2)
            self._writer.add_text("recipe", "    " + recipe.replace("\n", "\n    "))  # Markdown's block of code

    def log(self, step: int, scalars: Mapping[str, float]) -> None:
        for name, value in scalars.items():
            self._writer.add_scalar(name, value, step)
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()


start = _Board

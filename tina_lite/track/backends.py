"""The trackers that a recipe may name. The package of each is imported when it starts, and nowhere else."""

import hashlib
import json
import os
import sys
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from typing import Any

from tina_lite.track.listening import Beginning, ScalarTracker, Tracker

PROJECT = "tina-lite"
REACH_S = 5.0
FINISH_S = 10.0
"""A network that is gone must not keep a paid machine up for longer; what was not sent stays in RUN/wandb."""


class TensorBoardTracker(ScalarTracker):
    """Event files are written into RUN/tensorboard, for `tensorboard --logdir runs`."""

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


class WandbTracker(ScalarTracker):
    """Numbers go to Weights & Biases; WANDB_MODE, _PROJECT, _ENTITY and _API_KEY are obeyed.

    Without credentials or a network the run is kept in RUN/wandb, as `WANDB_MODE=offline` would keep it; `wandb sync`
    sends it later.
    """

    def __init__(self, beginning: Beginning) -> None:
        import wandb

        offline = "WANDB_MODE" not in os.environ and not (_is_reachable() and _has_credentials(wandb))
        self._run: Any = wandb.init(
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            name=beginning.name,
            id=_run_id(beginning),
            resume="allow",
            dir=str(beginning.folder),
            config=dict(beginning.config),
            mode="offline" if offline else None,
            settings=wandb.Settings(console="off", silent=True, finish_timeout=0 if offline else FINISH_S),
        )

    def log(self, step: int, scalars: Mapping[str, float]) -> None:
        self._run.log(dict(scalars), step=step)

    def close(self) -> None:
        self._run.finish()


def _has_credentials(wandb: Any) -> bool:
    """Without asking for them: a question would wait for an answer below the live view."""
    return bool(wandb.login(prompt=False))


def _is_reachable() -> bool:
    """What is sent to nobody is kept nowhere."""
    import httpx

    try:
        httpx.get(os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai"), timeout=REACH_S)
    except httpx.TransportError:
        return False
    return True


def _run_id(beginning: Beginning) -> str:
    """One for all sessions of a run: from its ledger's first line, which bears the moment of its start."""
    with (beginning.folder / "ledger.jsonl").open("rb") as ledger:
        return hashlib.sha256(ledger.readline()).hexdigest()[:12]


class TrackioTracker(ScalarTracker):
    """Numbers go into a database on this machine, for `trackio show`; TRACKIO_PROJECT and _SPACE_ID are obeyed."""

    def __init__(self, beginning: Beginning) -> None:
        import trackio

        with redirect_stdout(sys.stderr):  # stdout carries results
            self._run: Any = trackio.init(
                project=os.environ.get("TRACKIO_PROJECT", PROJECT),
                name=beginning.name,
                space_id=os.environ.get("TRACKIO_SPACE_ID"),
                config=dict(beginning.config),
                resume="allow",
                embed=False,
                auto_log_gpu=False,
                auto_log_cpu=False,
            )

    def log(self, step: int, scalars: Mapping[str, float]) -> None:
        self._run.log(dict(scalars), step=step)

    def close(self) -> None:
        with redirect_stdout(sys.stderr):
            self._run.finish()


_TRACKERS: dict[str, Callable[[Beginning], Tracker]] = {
    "tensorboard": TensorBoardTracker,
    "wandb": WandbTracker,
    "trackio": TrackioTracker,
}


def start_tracker(name: str, beginning: Beginning) -> Tracker:
    """Start the tracker that a recipe's `track` names; whatever its package raises is raised."""
    return _TRACKERS[name](beginning)

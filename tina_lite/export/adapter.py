"""The adapter as it stands in the run folder: PEFT's own layout, with tokenizer and card."""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from tina_lite.export.check import Agreement, agreement, reference
from tina_lite.export.folder import new_folder
from tina_lite.opened import Target

if TYPE_CHECKING:
    from tina_lite.policy.portable import PortablePolicy


def export_adapter(target: Target, policy: "PortablePolicy", out: Path) -> Agreement:
    """Copy it to `out`, and say how far base and copy, as peft reads and computes them, are from the run."""
    from tina_lite.policy.plain import load_with_peft, next_logits

    assert target.adapter is not None, "a model without adapter has none to copy"
    files = [path for path in target.adapter.iterdir() if path.is_file() and not path.name.startswith(".")]
    expected = reference(policy)
    with new_folder(out, sum(path.stat().st_size for path in files)) as folder:
        for path in files:
            shutil.copyfile(path, folder / path.name)
    model = load_with_peft(target.model, policy.dtype, policy.device, out)
    return agreement(expected, lambda ids: next_logits(model, ids))

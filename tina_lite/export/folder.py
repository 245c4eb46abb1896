"""The folder of an export: an adapter's copy, or a merged model; whole once it exists."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tina_lite.export.card import merged_card
from tina_lite.export.likeness import LogitDifference, logit_difference, reference
from tina_lite.policy.merge import add_older_names, save_tokenizer
from tina_lite.policy.model_ref import ModelRef
from tina_lite.recipe import Recipe
from tina_lite.util.disk import replace_folder
from tina_lite.util.errors import BadInput, NoRoom

if TYPE_CHECKING:
    from tina_lite.policy.native import NativePolicy

SPARE_BYTES = 64 * 1024**2
"""For what is not weights, and so that the disk is not full to the last byte."""


def refuse_existing(target: Path) -> None:
    """BadInput where an export would overwrite something."""
    if target.exists():
        raise BadInput(f"{target}: exists already and is not overwritten; remove it, or name another folder with --out")


@contextmanager
def new_folder(target: Path, weight_bytes: int) -> Iterator[Path]:
    """A folder to write into, which becomes `target` at the end; what fails leaves nothing behind.

    Raises:
        BadInput: `target` exists.
        NoRoom: the disk has less than `weight_bytes` and a little to spare, or cannot be written.
    """
    refuse_existing(target)
    partial = target.parent / f".{target.name}.partial-{os.getpid()}"
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _refuse_without_space(target.parent, weight_bytes + SPARE_BYTES)
        partial.mkdir()
        yield partial
        for path in partial.iterdir():
            with path.open("rb") as file:
                os.fsync(file.fileno())
        replace_folder(partial, target)
    except OSError as error:
        raise NoRoom(f"{target}: cannot be written ({error.strerror or error}); choose another --out") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _refuse_without_space(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise NoRoom(
            f"{folder}: {needed / 1024**3:.2f} GiB are needed and {free / 1024**3:.2f} GiB are free; "
            "make room, or choose another disk with --out"
        )


def export_adapter(target: ModelRef, policy: "NativePolicy", out: Path) -> LogitDifference:
    """Copy it to `out`, and say how far base and copy, as peft reads and computes them, are from the run."""
    from tina_lite.policy.merge import load_with_peft, next_logits

    assert target.adapter is not None, "a model without adapter has none to copy"
    files = [path for path in target.adapter.iterdir() if path.is_file() and not path.name.startswith(".")]
    expected = reference(policy)
    with new_folder(out, sum(path.stat().st_size for path in files)) as folder:
        for path in files:
            shutil.copyfile(path, folder / path.name)
    model = load_with_peft(target.model, policy.dtype, policy.device, out)
    return logit_difference(expected, lambda ids: next_logits(model, ids))


def _generation(policy: "NativePolicy", recipe: Recipe | None) -> dict[str, Any]:
    """Fields of generation_config.json: what ends a text, and how the run sampled."""
    stops = sorted(policy.stop_ids)
    fields: dict[str, Any] = {"eos_token_id": stops if len(stops) > 1 else stops[0]} if stops else {}
    if recipe is None:
        return fields
    rollout = recipe.rollout
    fields |= {"do_sample": True, "temperature": rollout.temperature, "top_p": rollout.top_p, "top_k": rollout.top_k}
    return fields | ({"stop_strings": list(rollout.stop)} if rollout.stop else {})


def export_merged(target: ModelRef, policy: "NativePolicy", out: Path) -> LogitDifference:
    """Write the model, tokenizer and card to `out`, and say how far the model that is read back is from the run.

    The weights are those that the run's own sampler uses: see policy/merge.py for what is merged into what.
    Raises BadInput where `out` exists, NoRoom where the disk does not hold it.
    """
    from tina_lite.policy.merge import load_plain, merged_weights, next_logits, save_merged

    assert target.adapter is not None, "a model without adapter has nothing to merge"
    weights = merged_weights(policy.causal_lm)
    expected = reference(policy)
    with new_folder(out, sum(weight.elements for weight in weights) * policy.dtype.itemsize) as folder:
        save_merged(policy.causal_lm, weights, policy.dtype, folder, _generation(policy, target.recipe))
        add_older_names(folder)
        save_tokenizer(policy.tokenizer, folder)
        dtype = str(policy.dtype).removeprefix("torch.")
        card = merged_card(target.name, target.model_id, dtype, target.adapter, target.recipe)
        (folder / "README.md").write_text(card, encoding="utf-8")
    model = load_plain(out, policy.dtype, policy.device)
    return logit_difference(expected, lambda ids: next_logits(model, ids))

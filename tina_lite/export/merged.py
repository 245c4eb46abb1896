"""Adapter and base as one plain model of transformers, in the dtype that the run computes in."""

from pathlib import Path
from typing import TYPE_CHECKING

from tina_lite.export.card import merged_card
from tina_lite.export.check import Agreement, agreement, reference
from tina_lite.export.folder import new_folder
from tina_lite.opened import Target

if TYPE_CHECKING:
    from tina_lite.policy.portable import PortablePolicy


def export_merged(target: Target, policy: "PortablePolicy", out: Path) -> Agreement:
    """Write the model, tokenizer and card to `out`, and say how far the model that is read back is from the run.

    The weights are those that the run's own sampler uses: see policy/plain.py for what is merged into what.
    Raises BadInput where `out` exists, NoRoom where the disk does not hold it.
    """
    from tina_lite.policy.plain import load_plain, merged_weights, next_logits, save_merged

    assert target.adapter is not None, "a model without adapter has nothing to merge"
    weights = merged_weights(policy.causal_lm)
    expected = reference(policy)
    with new_folder(out, sum(weight.elements for weight in weights) * policy.dtype.itemsize) as folder:
        save_merged(policy.causal_lm, weights, policy.dtype, folder)
        policy.tokenizer.save_pretrained(str(folder))
        dtype = str(policy.dtype).removeprefix("torch.")
        card = merged_card(target.name, target.model_id, dtype, target.adapter)
        (folder / "README.md").write_text(card, encoding="utf-8")
    model = load_plain(out, policy.dtype, policy.device)
    return agreement(expected, lambda ids: next_logits(model, ids))

"""Adapter and base as one plain model of transformers, in the dtype that the run computes in."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tina_lite.export.card import merged_card
from tina_lite.export.check import Agreement, agreement, reference
from tina_lite.export.folder import new_folder
from tina_lite.opened import Target
from tina_lite.policy.saving import add_older_names, save_tokenizer
from tina_lite.recipe import Recipe

if TYPE_CHECKING:
    from tina_lite.policy.portable import PortablePolicy


def _generation(policy: "PortablePolicy", recipe: Recipe | None) -> dict[str, Any]:
    """Fields of generation_config.json: what ends a text, and how the run sampled."""
    stops = sorted(policy.stop_ids)
    fields: dict[str, Any] = {"eos_token_id": stops if len(stops) > 1 else stops[0]} if stops else {}
    if recipe is None:
        return fields
    rollout = recipe.rollout
    fields |= {"do_sample": True, "temperature": rollout.temperature, "top_p": rollout.top_p, "top_k": rollout.top_k}
    return fields | ({"stop_strings": list(rollout.stop)} if rollout.stop else {})


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
        save_merged(policy.causal_lm, weights, policy.dtype, folder, _generation(policy, target.recipe))
        add_older_names(folder)
        save_tokenizer(policy.tokenizer, folder)
        dtype = str(policy.dtype).removeprefix("torch.")
        card = merged_card(target.name, target.model_id, dtype, target.adapter, target.recipe)
        (folder / "README.md").write_text(card, encoding="utf-8")
    model = load_plain(out, policy.dtype, policy.device)
    return agreement(expected, lambda ids: next_logits(model, ids))

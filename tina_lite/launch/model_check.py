"""Whether model, tokenizer and recipe fit each other, before the run's folder is made and its bill is opened.

Names, shapes and one prompt are looked at; no weight is read. What is refused here would otherwise end as an index out
of range in the first rollout, or train something else than was meant without a word.
"""

from dataclasses import dataclass
from typing import Any

from tina_lite.data import ProblemSet
from tina_lite.data.chat_template import render, turn_end
from tina_lite.data.prompts import prompt_notes
from tina_lite.data.sources import prompts_of
from tina_lite.policy.adapters import chosen_targets
from tina_lite.policy.model_folder import refuse_other_quantization
from tina_lite.policy.pretrained import load_tokenizer, skeleton, stop_ids
from tina_lite.policy.self_check import refuse_changing_rope
from tina_lite.policy.shape import architectures, refuse_architecture
from tina_lite.recipe import Recipe
from tina_lite.util.errors import BadInput

QUESTION, RULE = "How many are seven and four?", "Answer with one number."


@dataclass(frozen=True, slots=True)
class Fitting:
    """What is known of a model that fits its run."""

    tokenizer: Any
    notes: tuple[str, ...]
    """What a person should know before the run."""


def check_model(recipe: Recipe, train: ProblemSet, *, notes_wanted: bool = True) -> Fitting:
    """BadInput where model, tokenizer and recipe do not fit; an empty `train` is not looked at."""
    model_id = recipe.model.id
    tokenizer = load_tokenizer(model_id, recipe.data.chat_template_kwargs)
    refuse_other_quantization(model_id, recipe.model.quantization)
    model = skeleton(model_id)
    refuse_architecture(model.config.model_type)
    stops = stop_ids(model, tokenizer, recipe.rollout.stop)
    chosen_targets(model, recipe.lora.target_modules)
    _refuse_unknown_ids(model_id, model, tokenizer)
    _refuse_too_few_positions(model, recipe.rollout.max_tokens)
    refuse_endless(stops, recipe)
    refuse_changing_rope(model.config, recipe.rollout.max_tokens)
    _refuse_deaf_template(tokenizer, recipe.data.system_prompt)
    if len(train):
        (prompt,) = prompts_of(recipe, train, tokenizer).next(1)
        if not prompt.ids:
            raise BadInput(
                f"model.id: the tokenizer of {model_id} makes nothing of a prompt; copy the whole folder again"
            )
        if prompt.ids[-1] in stops:
            raise BadInput(
                f"model.id: the chat template of {model_id} ends the prompt with the end-of-text token, behind which "
                "there is nothing to say; let it open the assistant's turn where add_generation_prompt is set"
            )
    return Fitting(tokenizer, _notes(recipe, train, tokenizer, model, stops) if notes_wanted else ())


def _notes(recipe: Recipe, train: ProblemSet, tokenizer: Any, model: Any, stops: frozenset[int]) -> tuple[str, ...]:
    """How the model takes the training set, and how it ends a turn."""
    longest, system_prompt = recipe.rollout.max_prompt_length, recipe.data.system_prompt
    notes = [*prompt_notes(train, tokenizer, max_prompt_length=longest, system_prompt=system_prompt)]
    if (architecture := model.config.model_type) not in architectures():
        notes.append(f"{architecture} is an architecture that nobody tried here; loading compares its log-probs")
    end = turn_end(tokenizer)
    if end is not None and tokenizer.convert_tokens_to_ids(end) not in stops:
        notes.append(
            f"the chat template ends a turn with {end}, which does not end a completion of this model; write "
            f'rollout.stop: ["{end}"]'
        )
    return tuple(notes)


def _refuse_unknown_ids(model_id: str, model: Any, tokenizer: Any) -> None:
    rows = model.get_input_embeddings().weight.shape[0]
    largest = max(tokenizer.get_vocab().values(), default=0)
    if largest >= rows:
        raise BadInput(
            f"model.id: the tokenizer of {model_id} has ids up to {largest}, its embedding {rows} rows; take the "
            "tokenizer that belongs to the model, or enlarge the embedding (resize_token_embeddings)"
        )


def _refuse_too_few_positions(model: Any, longest: int) -> None:
    """Of a model that has learnt each position, or keeps a table of them; rotary ones may be exceeded."""
    positions = getattr(model.config, "max_position_embeddings", None)
    if positions is None or any("Rotary" in type(module).__name__ for module in model.modules()):
        return
    if longest > positions:
        raise BadInput(
            f"model.id: the model knows {positions} positions; let rollout.max_prompt_length and "
            f"rollout.max_completion_length add up to no more, they are {longest}"
        )


def refuse_endless(stops: frozenset[int], recipe: Recipe) -> None:
    """BadInput where nothing could end a completion but its length."""
    if not stops and not recipe.rollout.stop:
        raise BadInput(
            f"model.id: {recipe.model.id} names no end-of-text token, and every completion would be cut off; name it "
            "as eos_token in its tokenizer_config.json, or give rollout.stop"
        )


def _refuse_deaf_template(tokenizer: Any, system_prompt: str | None) -> None:
    """BadInput where the chat template drops what it is given."""
    rule = [{"role": "system", "content": RULE}] if system_prompt else []
    text = render(tokenizer, [*rule, {"role": "user", "content": QUESTION}])
    if QUESTION not in text:
        what = "is empty" if not text.strip() else "leaves the question out"
        raise BadInput(
            f"model.id: the prompt {what} after the chat template; mend chat_template in the model's folder, or take "
            "it away, and prompts are plain text"
        )
    if rule and RULE not in text:
        raise BadInput(
            "data.system_prompt: the chat template leaves it out; put it into the questions, or take another model"
        )

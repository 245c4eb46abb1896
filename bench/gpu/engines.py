"""An engine as the measurements want it: random weights, completions that all run to the limit."""

from pathlib import Path
from typing import TYPE_CHECKING

from sizes import PROJECTIONS, Sizes, make_model

from tina_lite.policy import Policy
from tina_lite.policy.engine import choose_engine, enter, find_facts

if TYPE_CHECKING:
    from tina_lite.policy.memory_request import MemoryRequest


def begin(engine: str) -> None:
    """First of all in a process: nothing that imports transformers may come before."""
    enter(choose_engine(engine, find_facts(), lambda: "qwen2"), local=True)


def make_policy(
    engine: str,
    sizes: Sizes,
    *,
    quantization: str = "nf4",
    compute_dtype: str = "auto",
    memory_request: "MemoryRequest",
) -> Policy:
    from tina_lite.policy.load import open_policy
    from tina_lite.policy.pretrained import load_tokenizer
    from tina_lite.recipe.schema import LoraSection, ModelSection, RolloutSection

    folder = make_model(sizes.config, Path("random-model"))
    model = ModelSection(id=folder, quantization=quantization, compute_dtype=compute_dtype)
    lora = LoraSection(r=sizes.r, alpha=4 * sizes.r, dropout=0.0, target_modules=PROJECTIONS)
    rollout = RolloutSection(
        max_prompt_length=memory_request.longest_prompt, max_completion_length=memory_request.longest_completion
    )
    policy = open_policy(engine, model, lora, rollout, load_tokenizer(folder), seed=1, memory_request=memory_request)  # type: ignore[arg-type]
    policy.stop_ids = frozenset()
    return policy

"""An engine as the measurements want it: random weights, completions that all run to the limit."""

from pathlib import Path
from typing import Any

from sizes import PROJECTIONS, Sizes, make_model

from tina_lite.policy import Policy
from tina_lite.policy.engine import choose_engine, enter, find_facts


def begin(engine: str) -> None:
    """First of all in a process: nothing that imports transformers may come before."""
    enter(choose_engine(engine, find_facts(), lambda: "qwen2"), local=True)


def make_policy(engine: str, sizes: Sizes, **changes: Any) -> Policy:
    from tina_lite.policy.loading import load_tokenizer
    from tina_lite.policy.opening import open_policy

    folder = make_model(sizes.config, Path("random-model"))
    settings: dict[str, Any] = {
        "r": sizes.r,
        "alpha": 4 * sizes.r,
        "dropout": 0.0,
        "target_modules": PROJECTIONS,
        "seed": 1,
        "quantization": "nf4",
        "dtype": "auto",
        "max_tokens": sizes.step_prompt + sizes.step_completion,
        "step_bytes": lambda shape, itemsize: 0,
    }
    policy = open_policy(engine, folder, load_tokenizer(folder), **{**settings, **changes})  # type: ignore[arg-type]
    policy.stop_ids = frozenset()
    return policy

"""What is measured: a model of the real shape with random weights, since speed needs no trained ones."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tina_lite.policy.model_folder import CONFIGS

if TYPE_CHECKING:
    from tina_lite.util.records import Prompt

SHIPPED = "Qwen/Qwen2.5-1.5B-Instruct"
PROJECTIONS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


@dataclass(frozen=True, slots=True)
class Sizes:
    """Of the measurements, or of their rehearsal. Lengths in tokens."""

    config: dict[str, object]
    r: int
    prompt: int
    rollout_rows: tuple[int, ...]
    rollout_completion: int
    step_prompts: int
    step_group: int
    step_completion: int
    memory_group: int
    memory_completions: tuple[int, ...]
    """Lengths that are tried, the shortest first."""


def read_sizes() -> Sizes:
    """Of the command line: --rehearse makes all of it tiny."""
    config = json.loads((CONFIGS / f"{SHIPPED.replace('/', '--')}.json").read_text())
    if "--rehearse" not in sys.argv:
        lengths = (512, 1024, 1536, 2048, 3072, 3584, 4096, 6144, 8192, 12288, 16384)
        return Sizes(config, 32, 512, (16, 64, 128), 512, 4, 6, 512, 4, lengths)
    tiny = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4}
    tiny |= {"num_key_value_heads": 2, "head_dim": 16, "vocab_size": 384}
    return Sizes({**config, **tiny}, 4, 12, (8, 16), 8, 2, 4, 8, 4, (8, 16))


def make_model(config: dict[str, object], folder: Path) -> str:
    """A model folder of random weights in 16 bits, with the shipped base's tokenizer, whose ids are the first ones."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    from tina_lite.policy.pretrained import load_tokenizer

    if not (folder / "tokenizer.json").exists():
        settings = {key: value for key, value in config.items() if key != "model_type"}
        torch.manual_seed(0)
        with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
            model = AutoModelForCausalLM.from_config(
                AutoConfig.for_model(str(config["model_type"]), **settings), dtype=torch.bfloat16
            )
        model.save_pretrained(folder)
        load_tokenizer("builtin:tiny").save_pretrained(folder)
    return str(folder)


def prompt_ids(count: int, length: int) -> list[tuple[int, ...]]:
    """Prompts of one length that are all different."""
    return [tuple(10 + (7 * n + 3 * place) % 300 for place in range(length)) for n in range(count)]


def made_up_prompts(count: int, length: int) -> "list[Prompt]":
    """The same as prompts of a rollout."""
    from tina_lite.util.records import Problem, Prompt

    return [Prompt(Problem(n, str(n), "", {}), str(n), ids) for n, ids in enumerate(prompt_ids(count, length))]

"""For how many of 20 prompts an export, read back by transformers, gives the greedy text of the run's own sampler.

    python bench/exports.py RUN [TOKENS]

The last line is JSON: by format, the prompts of which all token ids are equal, and the largest logit difference.
"""

import json
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from tina_lite.data import first_prompts, load_problems
from tina_lite.export.folder import export_adapter, export_merged
from tina_lite.export.gguf import export_gguf
from tina_lite.policy.load import load_model
from tina_lite.policy.merge import load_plain, load_with_peft, next_logits
from tina_lite.policy.model_ref import resolve
from tina_lite.recipe.schema import DataSection, RolloutSection
from tina_lite.rollout.sampler import Sampler

PROMPTS = 20


def same_text(model: Any, prompts: list[Any], own: list[list[int]]) -> int:
    """Greedy text is the run's own where the likeliest token after each of the run's tokens is the run's next one."""
    same = 0
    for prompt, ids in zip(prompts, own, strict=True):
        likeliest = next_logits(model, [*prompt.ids, *ids[:-1]]).argmax(-1)[len(prompt.ids) - 1 :]
        same += likeliest.tolist() == ids
    return same


def main(run: str, tokens: int) -> None:
    target = resolve(run)
    policy = load_model(target, sequences=PROMPTS, completion=tokens)
    problems = load_problems(DataSection(source="arithmetic", split="test"), seed=3)
    prompts, _ = first_prompts(problems, policy.tokenizer, PROMPTS, max_prompt_length=512, system_prompt=None)
    greedy = RolloutSection(max_completion_length=tokens).model_copy(update={"temperature": 0.0})
    rollout = Sampler(policy, greedy, seed=1, kv_tokens=policy.layout.kv_tokens).rollout(prompts, 1, 1)
    own = [list(group.completions[0].ids) for group in rollout.groups]
    result: dict[str, Any] = {"dtype": str(policy.dtype), "tokens": sum(map(len, own))}
    formats: dict[str, Callable[..., Any]] = {
        "merged": export_merged,
        "adapter": export_adapter,
        "f16": partial(export_gguf, file_type="f16"),
        "q8_0": partial(export_gguf, file_type="q8_0"),
    }
    for name, write in formats.items():
        with tempfile.TemporaryDirectory() as parent:
            out = Path(parent) / name
            logit_difference = write(target, policy, out)
            if name == "adapter":
                model = load_with_peft(target.model, policy.dtype, policy.device, out)
            else:
                file = None if name == "merged" else f"{target.name}-{name}.gguf"
                model = load_plain(out, policy.dtype, policy.device, file)
            same = same_text(model, prompts, own)
        print(f"{name}: {same} of {PROMPTS}; {logit_difference}", file=sys.stderr)
        result[name] = {"same": same, "largest_difference": logit_difference.largest_difference}
    print(json.dumps(result))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 64)

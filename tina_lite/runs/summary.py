"""What a run came to: summary.json, what a dollar bought, and what two evaluations say together."""

import json
import platform
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from tina_lite.budget import Rate, mean_rate
from tina_lite.budget.money import format_price, format_usd
from tina_lite.recipe import Recipe
from tina_lite.runs.session import Session
from tina_lite.util.hub import repo_and_revision
from tina_lite.util.records import EvalResult
from tina_lite.version import VERSION


def gained(evals: Mapping[str, Any]) -> float | None:
    """Pass@1 after less before; None where one is missing, or they are not of as many problems.

    >>> gained({"before": {"pass_at_1": 0.25, "problems": 200}, "after": {"pass_at_1": 0.5, "problems": 20}})
    """
    before, after = (evals.get(when) or {} for when in ("before", "after"))
    if "pass_at_1" not in before or "pass_at_1" not in after or before.get("problems") != after.get("problems"):
        return None
    return float(after["pass_at_1"] - before["pass_at_1"])


PACKAGES = ("torch", "transformers", "tokenizers", "peft", "bitsandbytes", "math-verify")
ENGINE = ("unsloth", "unsloth_zoo")
"""Where the run used it, not merely where it is installed."""


def summary_of(
    recipe: Recipe,
    rate: Rate,
    session: Session,
    figures: Mapping[str, Any],
    stop_reason: str,
) -> dict[str, Any]:
    """The whole file, now; `figures` are what the loop's parts say beside the bill."""
    folder, state, reading = session.folder, session.state, session.meter.read()
    return {
        "name": recipe.name,
        "stop_reason": stop_reason,
        "steps": state.step,
        "usd": reading.usd,
        "gpu_hours": reading.gpu_hours,
        "rate": round(mean_rate(reading.usd, reading.total_s), 9) if rate.power else reading.rate,
        "rate_source": rate.source,
        "usd_by_phase": dict(reading.usd_by_phase),
        "tokens": {
            "prompt": state.prompt_tokens,
            "completion": state.completion_tokens,
            "trained": state.trained_tokens,
        },
        "reward": {
            "first": state.reward_first,
            "last": state.reward_last,
            "best": state.reward_best,
            "best_step": state.best_step,
        },
        **figures,
        "warnings": folder.warnings(),
        "adapter": str(folder.adapter) if folder.adapter.exists() else None,
        "version": VERSION,
        "packages": package_versions(),
        "seed": recipe.seed,
        "folder": str(folder.path),
        "session": session.meter.session,
    }


def per_dollar(summary: Mapping[str, Any]) -> dict[str, float | None]:
    """Compute what each dollar bought: Pass@1 in points, reward from the first step to the last, completion tokens.

    None where it was not measured, and throughout where the run cost nothing.

    >>> evals = {"before": {"pass_at_1": 0.3}, "after": {"pass_at_1": 0.75}}
    >>> per_dollar({"usd": 0.5, "eval": evals, "reward": {"first": 1.0, "last": 2.5}, "tokens": {"completion": 1000}})
    {'points': 90.0, 'reward': 3.0, 'tokens': 2000.0}
    """
    usd, evals, reward = summary["usd"], summary["eval"], summary["reward"]
    gain = gained(evals)
    gains: dict[str, float | None] = {
        "points": None if gain is None else 100 * gain,
        "reward": None if reward["last"] is None else reward["last"] - reward["first"],
        "tokens": summary["tokens"]["completion"],
    }
    return {name: None if gain is None or not usd else gain / usd for name, gain in gains.items()}


def package_versions() -> dict[str, str]:
    """Of what a result may depend on; what is not installed is left out."""
    found = {"python": platform.python_version()}
    for name in (*PACKAGES, *(ENGINE if "unsloth" in sys.modules else ())):
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def eval_fields(results: Mapping[str, EvalResult]) -> dict[str, Any] | None:
    """Put the first benchmark's figures at the top level, the others by name beside them."""
    if not results:
        return None
    first, *others = results.values()
    fields = _figures(first)
    if others:
        fields["others"] = {other.benchmark: _figures(other) for other in others}
    return fields


def _figures(result: EvalResult) -> dict[str, Any]:
    return {
        "benchmark": result.benchmark,
        "pass_at_1": round(result.pass_at_1, 5),
        "ci95": [round(bound, 5) for bound in result.ci95],
        "problems": result.problems,
        "samples": result.samples,
        "mean_length": round(result.mean_length, 2),
    }


CARD = """---
library_name: peft
base_model: {repo}
datasets:
- {data}
tags:
- lora
- grpo
- tina-lite
---

# {name}

A LoRA adapter for `{base}`, trained with GRPO by tina-lite {version}.

| | |
| --- | --- |
| base | `{base}`, frozen, {quantization} |
| data | `{data}` |
| rewards | {rewards} |
| steps | {steps} ({stop_reason}) |
| price | {usd} for {hours:.3f} h at {rate}/h on {device} |
| seed | {seed} |
| held-out Pass@1 | {gain} |

```python
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer{imports}

{load}
model = PeftModel.from_pretrained(base, "PATH/TO/THIS/FOLDER")
tokenizer = AutoTokenizer.from_pretrained("PATH/TO/THIS/FOLDER")
```

{asked}
"""


ASKED = """\
## How it was asked

```python
messages = {messages}
text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True{switches})
```

Completions were sampled at temperature {temperature} and top_p {top_p}{stops}."""
LOAD = "base = AutoModelForCausalLM.from_pretrained({where})"
LOAD_NF4 = """\
# in 4 bits, as the figures above were measured; on the unquantised base they may differ
nf4 = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True)
base = AutoModelForCausalLM.from_pretrained({where}, quantization_config=nf4)"""


def how_it_was_asked(recipe: Recipe) -> str:
    """What a reader has to do as the run did: system prompt, switches of the template, stops, sampling."""
    data, rollout = recipe.data, recipe.rollout
    system = [{"role": "system", "content": data.system_prompt}] if data.system_prompt else []
    messages = json.dumps([*system, {"role": "user", "content": "QUESTION"}], ensure_ascii=False)
    switches = "".join(f", {name}={value!r}" for name, value in data.chat_template_kwargs.items())
    stops = "".join(f", {stop!r}" for stop in rollout.stop)
    return ASKED.format(
        messages=messages,
        switches=switches,
        temperature=f"{rollout.temperature:g}",
        top_p=f"{rollout.top_p:g}",
        stops=f", each ended at its end-of-text token{stops}",
    )


def model_card(
    summary: Mapping[str, Any],
    *,
    base: str,
    data: str,
    quantization: str,
    rewards: Sequence[str],
    device: str,
    asked: str = "",
) -> str:
    """The card's text from a run's summary."""
    repo, revision = repo_and_revision(base)
    where = f'"{repo}", revision="{revision}"' if revision else f'"{repo}"'
    return CARD.format(
        base=base,
        repo=repo,
        load=(LOAD_NF4 if quantization == "nf4" else LOAD).format(where=where),
        data=data,
        asked=asked,
        quantization=quantization,
        imports=", BitsAndBytesConfig" if quantization == "nf4" else "",
        rewards=", ".join(rewards),
        device=device,
        name=summary["name"],
        version=summary["version"],
        steps=summary["steps"],
        stop_reason=summary["stop_reason"],
        usd=format_usd(summary["usd"]),
        hours=summary["gpu_hours"],
        rate=format_price(summary["rate"]),
        seed=summary["seed"],
        gain=_gain(summary["eval"]),
    )


def _gain(evals: Mapping[str, Any]) -> str:
    parts = [
        f"{when} {figures['pass_at_1']:.3f} (95% {figures['ci95'][0]:.3f} to {figures['ci95'][1]:.3f})"
        for when in ("before", "after")
        if (figures := evals[when])
    ]
    return ", ".join(parts) or "not measured"

"""The model card of an adapter: base, data, rewards, price, results. Plain text for adapter/README.md."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from tina_lite.budget.money import format_price, format_usd
from tina_lite.hub import repo_and_revision
from tina_lite.recipe import Recipe

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

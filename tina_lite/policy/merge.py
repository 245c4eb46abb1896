"""Plain causal models of transformers: one made from base and adapter by merging, one read back from a folder.

Merged is W + s B A in 16 or 32 bits, where W is the base as the adapter knew it: dequantised from NF4. The original
16-bit weights would give another text, as the adapter never met them; and to quantise the sum again would round away
much of what was learnt.
"""

import json
from collections.abc import Mapping, Sequence
from contextlib import redirect_stderr
from copy import deepcopy
from dataclasses import dataclass
from io import StringIO
from math import prod
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tina_lite.policy.dense.linears import base_weight
from tina_lite.policy.pretrained import attention_of, load_base
from tina_lite.recipe.schema import ModelSection


@dataclass(frozen=True, slots=True)
class Weight:
    """One tensor of a merged model, made when it is wanted: a whole model need not be held."""

    name: str
    """As transformers names it."""
    shape: tuple[int, ...]
    _module: Any
    _parameter: str

    @property
    def elements(self) -> int:
        return prod(self.shape)

    @torch.no_grad()
    def tensor(self, dtype: torch.dtype) -> Tensor:
        """Make the tensor on the CPU; it is summed in float32 and rounded once."""
        base = getattr(self._module, "base_layer", self._module)
        if self._parameter != "weight" or not hasattr(base, "in_features"):
            plain: Tensor = getattr(base, self._parameter).detach().to("cpu", dtype)
            return plain
        weight = base_weight(self._module).float()
        if hasattr(self._module, "lora_A"):
            a, b = self._module.lora_A["default"].weight.float(), self._module.lora_B["default"].weight.float()
            weight = torch.addmm(weight, b, a, alpha=self._module.scaling["default"])
        return weight.to("cpu", dtype)


def merged_weights(causal_lm: Any) -> list[Weight]:
    """Every tensor of a model without its adapter's; a head that is the embedding stands under the embedding alone."""
    weights, seen = [], set()
    for path, module in causal_lm.named_modules():
        if "base_layer" in path or "lora_" in path:
            continue
        base = getattr(module, "base_layer", module)
        for parameter, tensor in base.named_parameters(recurse=False):
            if id(tensor) not in seen:
                seen.add(id(tensor))
                linear = parameter == "weight" and hasattr(base, "in_features")  # packed, it has another shape
                shape = (base.out_features, base.in_features) if linear else tuple(tensor.shape)
                weights.append(Weight(f"{path}.{parameter}", shape, module, parameter))
    return weights


def save_merged(
    causal_lm: Any, weights: Sequence[Weight], dtype: torch.dtype, folder: Path, generation: Mapping[str, Any]
) -> None:
    """As transformers saves a model: config, generation config, safetensors, in several files where they are large.

    `generation`: fields of the generation config.
    """
    from transformers import AutoModelForCausalLM

    config = deepcopy(causal_lm.config)
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config, dtype=dtype)
    model.load_state_dict({weight.name: weight.tensor(dtype) for weight in weights}, strict=False, assign=True)
    model.tie_weights()
    model.generation_config = deepcopy(causal_lm.generation_config)
    model.generation_config.update(**generation)
    model.save_pretrained(str(folder))


def load_with_peft(model: ModelSection, dtype: torch.dtype, device: torch.device, adapter: Path) -> Any:
    """Base and adapter as peft reads them."""
    from peft import PeftModel

    return PeftModel.from_pretrained(load_base(model, dtype, device), str(adapter)).eval()


def load_plain(folder: Path, dtype: torch.dtype, device: torch.device, gguf_file: str | None = None) -> Any:
    """A model that was exported, as transformers reads it."""
    from transformers import AutoConfig, AutoModelForCausalLM
    from transformers.utils import logging

    logging.disable_progress_bar()
    with redirect_stderr(StringIO()):  # of a GGUF file it shows another bar, which cannot be turned off
        attention = attention_of(AutoConfig.from_pretrained(str(folder), gguf_file=gguf_file))
        model = AutoModelForCausalLM.from_pretrained(
            str(folder), dtype=dtype, gguf_file=gguf_file, attn_implementation=attention
        )
    return model.to(device).eval()


@torch.no_grad()
def next_logits(causal_lm: Any, ids: Sequence[int]) -> Tensor:
    """Logits after each token of a sequence, (T, V) float32, on the CPU; with the adapter where there is one."""
    logits: Tensor = causal_lm(input_ids=torch.tensor([ids], device=causal_lm.device), use_cache=False).logits[0]
    return logits.float().cpu()


def save_tokenizer(tokenizer: Any, folder: Path) -> None:
    """A class that version 4 knows, and the chat template in tokenizer_config.json too."""
    tokenizer.save_pretrained(str(folder))
    added = {"tokenizer_class": "PreTrainedTokenizerFast"} if getattr(tokenizer, "is_fast", False) else {}
    if tokenizer.chat_template is not None:
        added["chat_template"] = tokenizer.chat_template
    _add(folder / "tokenizer_config.json", added)


def add_older_names(folder: Path) -> None:
    """rope_theta, rope_scaling and torch_dtype beside the names that they have in version 5."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    added = {"torch_dtype": config["dtype"]} if "dtype" in config else {}
    rope = config.get("rope_parameters") or {}
    if "rope_theta" in rope:
        added["rope_theta"] = rope["rope_theta"]
    if rope.get("rope_type", "default") != "default":
        added["rope_scaling"] = rope
    _add(folder / "config.json", added)


def _add(file: Path, fields: dict[str, Any]) -> None:
    config = json.loads(file.read_text(encoding="utf-8"))
    file.write_text(json.dumps(config | fields, indent=2, sort_keys=True) + "\n", encoding="utf-8")

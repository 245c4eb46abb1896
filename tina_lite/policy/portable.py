"""The engine that runs everywhere: transformers loads, bitsandbytes keeps the base in NF4, peft adds the adapter."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import Parameter

from tina_lite.device import available_bytes
from tina_lite.errors import BadInput
from tina_lite.hub import REACH_LIMIT_S, unreachable
from tina_lite.policy.decoder import ARCHITECTURES, DenseDecoder, DenseWeights
from tina_lite.policy.generic import CachedDecoder
from tina_lite.policy.interface import Decoder, TokenBatch
from tina_lite.policy.logprobs import token_logprobs

CACHE_SHARE = 0.25
"""Of free memory, for keys and values; activations and the logits of a step need the rest."""
TINY_BASE = "builtin:tiny"
PROBE_ROWS = 512
PROBE_TRIALS = 8
CLEARLY_FASTER = 1.5
"""A choice that hangs on a few percent would differ from run to run."""
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def model_folder(model_id: str) -> str:
    """The name under which transformers finds a model: the shipped base's folder, or the name as it stands."""
    if model_id == TINY_BASE:
        return str(Path(__file__).parent.parent / "base")
    if model_id.startswith("builtin:"):
        raise BadInput(f"model.id: {model_id} does not ship with the package; did you mean {TINY_BASE}?")
    return model_id


def compute_dtype(name: str, device: torch.device, config: Any) -> torch.dtype:
    """The dtype of activations: bfloat16 on a card that has it; on a CPU whichever is measured to be faster."""
    if name != "auto":
        return DTYPES[name]
    if device.type == "cpu":
        return faster_on_cpu(config.hidden_size, getattr(config, "intermediate_size", 4 * config.hidden_size))
    return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16


def faster_on_cpu(hidden: int, intermediate: int) -> torch.dtype:
    """bfloat16 where it is clearly faster at the model's own shapes, else float32, which rounds less."""
    seconds = {}
    for dtype in (torch.float32, torch.bfloat16):
        x, weight = torch.ones(PROBE_ROWS, hidden, dtype=dtype), torch.ones(intermediate, hidden, dtype=dtype)
        trials = []
        for _ in range(PROBE_TRIALS):
            started = time.perf_counter()
            torch.nn.functional.linear(x, weight)
            trials.append(time.perf_counter() - started)
        seconds[dtype] = min(trials)
    return torch.bfloat16 if seconds[torch.bfloat16] * CLEARLY_FASTER < seconds[torch.float32] else torch.float32


def load_tokenizer(model_id: str) -> Any:
    """The model's tokenizer; BadInput where there is none."""
    from transformers import AutoTokenizer

    if not Path(model_folder(model_id)).is_dir():
        _go_offline_unless_reachable(model_id)
    with _loading(model_id):
        tokenizer = AutoTokenizer.from_pretrained(model_folder(model_id))
    tokenizer.clean_up_tokenization_spaces = False  # a completion is scored as it was sampled
    return tokenizer


def _go_offline_unless_reachable(model_id: str) -> None:
    """Without a network, look in the cache alone; transformers would try each file for half a minute."""
    from huggingface_hub import constants

    if unreachable(lambda api: api.model_info(model_id, timeout=REACH_LIMIT_S)):
        constants.HF_HUB_OFFLINE = True  # for the rest of this process


@contextmanager
def _loading(model_id: str) -> Iterator[None]:
    """Foreign errors of loading become one clear line."""
    folder = Path(model_folder(model_id))
    if model_id.startswith((".", "/", "~")) and not (folder / "config.json").exists():
        raise BadInput(f"model.id: {model_id} is not a model folder (no config.json there)")
    if folder.is_dir() and not any(folder.glob("*.safetensors")) and not any(folder.glob("*.bin")):
        raise BadInput(f"model.id: {model_id} holds no weights (*.safetensors); copy the whole model folder")
    try:
        yield
    except (OSError, ValueError, KeyError) as error:
        said = " ".join(str(error).split()).split(". ")[0][:160]
        raise BadInput(
            f"model.id: cannot load {model_id}: looked for a local folder and on the Hugging Face hub "
            f"({type(error).__name__}: {said}); give a folder with --model FOLDER"
        ) from error


class PortablePolicy:
    """A frozen base in NF4 with a bf16 LoRA adapter, on CPU or CUDA. Satisfies `Policy`."""

    def __init__(
        self,
        model_id: str,
        tokenizer: Any,
        *,
        r: int,
        alpha: float,
        dropout: float,
        target_modules: tuple[str, ...],
        seed: int,
        quantization: Literal["nf4", "none"] = "nf4",
        dtype: str = "auto",
    ) -> None:
        from transformers import AutoConfig

        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        with _loading(model_id):
            config = AutoConfig.from_pretrained(model_folder(model_id))
        self._dtype = compute_dtype(dtype, self.device, config)
        self.tokenizer = tokenizer
        self.base_name = model_folder(model_id)
        """Under which transformers finds the base again."""
        base = _load_base(model_id, quantization, self._dtype, self.device)
        torch.manual_seed(seed)  # peft draws lora_A
        self.model = _attach_lora(base, r, alpha, dropout, target_modules)
        self._causal_lm = self.model.get_base_model()
        self.stop_ids = _stop_ids(self._causal_lm, self.tokenizer)
        self._dense: DenseWeights | None = None
        if self._causal_lm.config.model_type in ARCHITECTURES:
            self._dense = DenseWeights(self._causal_lm, dense_weight, self._dtype)

    def decoder(self, max_rows: int, max_tokens: int) -> Decoder:
        if self._dense is not None:
            return DenseDecoder(self._dense, max_rows, max_tokens)
        return CachedDecoder(self._causal_lm)

    def logprobs(self, batch: TokenBatch, temperature: float, adapter: bool = True) -> tuple[Tensor, Tensor]:
        with nullcontext() if adapter else self.model.disable_adapter():
            # No attention mask: the padding stands on the right, where causal attention never looks back from.
            hidden = self._causal_lm.model(input_ids=batch.ids, use_cache=False).last_hidden_state  # (N, P + T, H)
        mask = batch.completion_mask()  # (N, T)
        rows, offsets = mask.nonzero(as_tuple=True)
        at = batch.prompt_lengths[rows] + offsets
        values, entropy = token_logprobs(
            hidden[rows, at - 1], self._causal_lm.lm_head.weight, batch.ids[rows, at], temperature
        )
        zeros = torch.zeros(mask.shape, dtype=torch.float32, device=mask.device)
        return zeros.index_put((rows, offsets), values), zeros.index_put((rows, offsets), entropy)

    def free_kv_tokens(self) -> int:
        """Cache tokens, over all rows, that fit in a share of the memory that is free now."""
        config = self._causal_lm.config
        head_dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
        bytes_per_token: int = 2 * config.num_hidden_layers * heads * head_dim * self._dtype.itemsize
        free = torch.cuda.mem_get_info()[0] if self.device.type == "cuda" else available_bytes()
        return max(1, int(free * CACHE_SHARE) // bytes_per_token)

    def trainable(self) -> dict[str, Parameter]:
        return {name: p for name, p in self.model.named_parameters() if p.requires_grad}

    def sync(self) -> None:
        if self._dense is not None:
            with torch.no_grad():
                self._dense.refresh()

    @contextmanager
    def training(self) -> Iterator[None]:
        self.model.train()
        try:
            yield
        finally:
            self.model.eval()

    def save_adapter(self, folder: Path) -> None:
        self.model.save_pretrained(str(folder))
        self.tokenizer.save_pretrained(str(folder))


def dense_weight(module: Any) -> Tensor:
    """The weight that a linear module acts with, (out, in): dequantised base + scaling x B A."""
    import bitsandbytes as bnb

    base = getattr(module, "base_layer", module)
    weight: Tensor = base.weight.detach()
    if isinstance(base, bnb.nn.Linear4bit):
        weight = bnb.functional.dequantize_4bit(base.weight.data, base.weight.quant_state)
    for name in getattr(module, "active_adapters", ()):
        if name in module.lora_A:
            a, b = module.lora_A[name].weight.float(), module.lora_B[name].weight.float()
            weight = torch.addmm(weight.float(), b, a, alpha=module.scaling[name])
    return weight


def _load_base(model_id: str, quantization: str, dtype: torch.dtype, device: torch.device) -> Any:
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()
    # bitsandbytes announces an optional CPU kernel that it did not find; nobody can act on it.
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    config = None
    if quantization == "nf4":
        config = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=dtype,
        )
    with _loading(model_id):
        model = AutoModelForCausalLM.from_pretrained(
            model_folder(model_id),
            quantization_config=config,
            dtype=dtype,
            device_map={"": device},
            attn_implementation="sdpa",
        )
    _keep_gradients_right(model)
    return model.eval()


def _keep_gradients_right(model: Any) -> None:
    """On CPUs with AVX512-bf16, bitsandbytes 0.50 repacks a Linear4bit that is called in eval mode for a kernel
    without autograd, and gradients taken later are wrong without a word. This keeps the packing off.
    """
    import bitsandbytes as bnb

    for module in model.modules():
        if isinstance(module, bnb.nn.Linear4bit):
            module.support_avx512bf16_for_cpu = False


def _attach_lora(base: Any, r: int, alpha: float, dropout: float, target_modules: tuple[str, ...]) -> Any:
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(
        r=r, lora_alpha=alpha, lora_dropout=dropout, target_modules=list(target_modules), task_type="CAUSAL_LM"
    )
    try:
        model = get_peft_model(base, config)
    except ValueError as error:
        linear = sorted({name.split(".")[-1] for name, m in base.named_modules() if name and hasattr(m, "in_features")})
        raise BadInput(
            f"lora.target_modules: {', '.join(target_modules)} fit no layer of this model; it has {', '.join(linear)}"
        ) from error
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.to(torch.bfloat16)  # the learner holds the fp32 masters
    return model.eval()


def _stop_ids(model: Any, tokenizer: Any) -> frozenset[int]:
    known = model.generation_config.eos_token_id
    ids = known if isinstance(known, list) else [known]
    return frozenset(int(i) for i in (*ids, tokenizer.eos_token_id) if i is not None)

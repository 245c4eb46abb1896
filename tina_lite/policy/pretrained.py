"""From a model's name to its parts: tokenizer, 4-bit base, the dtype to compute in. Errors are one line."""

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch

from tina_lite.policy.dense.trial import measured_rows
from tina_lite.policy.engine import FLOAT16_CAPABILITY
from tina_lite.policy.memory import MemoryLayout, layout_of, refuse_too_large
from tina_lite.policy.memory_request import MemoryBudget, MemoryRequest
from tina_lite.policy.model_folder import as_pretrained, model_folder, refuse_broken, refuse_other_quantization
from tina_lite.policy.shape import shape_of
from tina_lite.recipe.schema import DtypeName, ModelSection
from tina_lite.util.errors import BadInput, TinaError, one_line
from tina_lite.util.hub import REACH_LIMIT_S, Commits, repo_and_revision, unreachable, what_mends
from tina_lite.util.memory import available_bytes, is_out_of_memory
from tina_lite.util.stateful import ResolvedRuntime

NOTHING: Mapping[str, Any] = MappingProxyType({})
LEAST_HIDDEN = 128
"""Below it the rest of a step outweighs the products."""
NAMES: dict[torch.dtype, DtypeName] = {
    torch.float32: "float32",
    torch.bfloat16: "bfloat16",
    torch.float16: "float16",
}
DTYPES: dict[str, torch.dtype] = {name: dtype for dtype, name in NAMES.items()}


def compute_dtype(name: str, device: torch.device, config: Any) -> torch.dtype:
    """The dtype of activations: bfloat16 on a card or a CPU that has it.

    A card without bfloat16 computes in float16, with a loss scale (train/learner.py), where it has fast products in it.
    TF32 is left off, as torch does: who asks for float32 asks for its digits.
    """
    if name != "auto":
        return DTYPES[name]
    if device.type == "cpu":
        return dtype_on_cpu(config.get_text_config().hidden_size)
    if torch.cuda.is_bf16_supported(including_emulation=False):
        return torch.bfloat16
    return torch.float16 if torch.cuda.get_device_capability() >= FLOAT16_CAPABILITY else torch.float32


def dtype_on_cpu(hidden: int) -> torch.dtype:
    """bfloat16 where products in it are one instruction, which is twice as fast; else float32, which rounds less.

    By what the CPU has and nothing that is measured: the same machine and seed are the same run.
    """
    has_products = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return torch.bfloat16 if has_products and hidden >= LEAST_HIDDEN else torch.float32


def load_tokenizer(model_id: str, template_kwargs: Mapping[str, Any] = NOTHING) -> Any:
    """The model's tokenizer; BadInput where there is none, or where it is Python of its own, which is never run.

    `template_kwargs` are the chat template's own switches, such as enable_thinking; it has them from here on.
    """
    from transformers import AutoTokenizer

    refuse_broken(model_id)  # here alone, as whoever opens a model begins so: its files are read once
    if not Path(model_folder(model_id)).is_dir():
        _go_offline_unless_reachable(model_id)
    with loading(model_id):
        tokenizer = AutoTokenizer.from_pretrained(**as_pretrained(model_id), trust_remote_code=False)
    if tokenizer.chat_template is None:
        tokenizer.chat_template = _template_beside(Path(model_folder(model_id)))
    # It warns of prompts over the model's length; the recipe's max_prompt_length is the limit here.
    logging.getLogger("transformers.tokenization_utils_base").setLevel(logging.ERROR)
    tokenizer.clean_up_tokenization_spaces = False  # a completion is scored as it was sampled
    unknown = [name for name in template_kwargs if name not in str(tokenizer.chat_template or "")]
    if unknown:
        raise BadInput(
            f"data.chat_template_kwargs: the chat template of {model_id} knows no {', '.join(unknown)}; leave it out"
        )
    if template_kwargs:
        tokenizer.apply_chat_template = partial(tokenizer.apply_chat_template, **template_kwargs)
    return tokenizer


def _template_beside(folder: Path) -> Any:
    """That of chat_template.json, where older models keep it and transformers looks for processors alone."""
    try:
        return json.loads((folder / "chat_template.json").read_text(encoding="utf-8"))["chat_template"]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _go_offline_unless_reachable(model_id: str) -> None:
    """Without a network, look in the cache alone; transformers would try each file for half a minute."""
    from huggingface_hub import constants

    commits = Commits()
    commits.pinned(model_id, "model")  # BadInput where the hub refuses it
    repo, _ = repo_and_revision(model_id)
    if commits.cut_off or unreachable(lambda api: api.model_info(repo, timeout=REACH_LIMIT_S)):
        constants.HF_HUB_OFFLINE = True  # for the rest of this process


def read_config(model_id: str) -> Any:
    """Read the model's config.json."""
    from transformers import AutoConfig

    with loading(model_id):
        return AutoConfig.from_pretrained(**as_pretrained(model_id), trust_remote_code=False)


@contextmanager
def loading(model_id: str) -> Iterator[None]:
    """Foreign errors of loading become one clear line, and one about a damaged file where that is why."""
    local = Path(model_folder(model_id)).is_dir()
    try:
        with _said_in_one_line():
            yield
    except TinaError:
        raise
    except Exception as error:  # of transformers, tokenizers, jinja, safetensors, and what they stumble over
        if is_out_of_memory(error):
            raise
        refuse_broken(model_id)
        said = one_line(error, 1000)
        if "Unrecognized configuration class" in said:
            raise BadInput(_no_language_model(model_id)) from error
        if "trust_remote_code" in said or "custom code" in said:
            raise BadInput(
                f"model.id: {model_id} brings Python of its own, which is never run; choose a model that transformers "
                "knows"
            ) from error
        told = f"({type(error).__name__}: {said.split('. ')[0][:160]})"
        if local:
            raise BadInput(
                f"model.id: cannot load {model_id} {told}; copy the whole folder again, or choose another model"
            ) from error
        if mends := what_mends(error, repo_and_revision(model_id)[0]):
            raise BadInput(f"model.id: {mends}") from error
        raise BadInput(
            f"model.id: cannot load {model_id}: looked for a local folder and on the Hugging Face hub {told}; give a "
            "folder with --model FOLDER"
        ) from error


def _no_language_model(model_id: str) -> str:
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(**as_pretrained(model_id), trust_remote_code=False)
    seen = "reads pictures too" if hasattr(config, "vision_config") else "is no language model to transformers"
    return f"model.id: {model_id} is a {config.model_type}, which {seen}; choose a model for text alone"


def skeleton(model_id: str) -> Any:
    """The model without its numbers, on torch's meta device: names and shapes of all that it has.

    BadInput where the weights of a local folder are not those that its config.json asks for.
    """
    from transformers import AutoModelForCausalLM

    config = read_config(model_id)
    with loading(model_id):
        if not Path(model_folder(model_id)).is_dir() or getattr(config, "quantization_config", None):
            with torch.device("meta"):
                return AutoModelForCausalLM.from_config(config, trust_remote_code=False)
        quiet_loading()
        model, found = AutoModelForCausalLM.from_pretrained(
            **as_pretrained(model_id),
            dtype=torch.float32,
            device_map="meta",
            ignore_mismatched_sizes=True,
            output_loading_info=True,
            trust_remote_code=False,
        )
    refuse_other_weights(model_id, found)
    return model


@contextmanager
def _said_in_one_line() -> Iterator[None]:
    """Without what transformers says beside it, such as its table of missing tensors."""
    from transformers.utils import logging as transformers_logging

    before = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity(logging.CRITICAL)
    try:
        yield
    finally:
        transformers_logging.set_verbosity(before)


def refuse_other_weights(model_id: str, found: Mapping[str, Any]) -> None:
    """BadInput where tensors are missing, left over or of another shape: the rest would be random or cut off.

    `found`: what transformers tells of a loading.
    """
    kinds = {
        "missing_keys": "{} of its tensors are not among the weights, such as {}",
        "unexpected_keys": "its weights hold {} tensors that its config.json has no place for, such as {}",
        "mismatched_keys": "{} of its tensors have another shape than config.json says, such as {}",
    }
    for kind, said in kinds.items():
        names = sorted(one if isinstance(one, str) else one[0] for one in found.get(kind) or ())
        if names:
            raise BadInput(
                f"model.id: {model_id}: {said.format(len(names), names[0])}; copy config.json and weights of one model"
            )


def load_base(section: ModelSection, dtype: torch.dtype, device: torch.device) -> Any:
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    quiet_loading()
    refuse_other_quantization(section.id, section.quantization)
    config = None
    if section.quantization == "nf4":
        config = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=dtype,
        )
    with loading(section.id):
        model, found = AutoModelForCausalLM.from_pretrained(
            **as_pretrained(section.id),
            quantization_config=config,
            dtype=dtype,
            device_map={"": device},
            attn_implementation=attention_of(read_config(section.id)),
            output_loading_info=True,
            trust_remote_code=False,
        )
    refuse_other_weights(section.id, found)
    _keep_gradients_right(model)
    _leave_files(model, device)
    return model.eval().requires_grad_(False)


def attention_of(config: Any) -> str | None:
    """The kind of attention for which transformers computes all that the architecture asks for; None: its default.

    Under sdpa it leaves soft caps out (gemma2), and adds ALiBi's biases otherwise than Falcon's own code.
    """
    text = config.get_text_config()
    return "eager" if getattr(text, "attn_logit_softcapping", None) or getattr(text, "alibi", False) else None


def quiet_loading() -> None:
    """No progress bar, and no word of an optional CPU kernel that bitsandbytes did not find: nobody can act on it."""
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)


def _keep_gradients_right(model: Any) -> None:
    """Keep bitsandbytes from repacking weights for a kernel without autograd.

    On CPUs with AVX512-bf16 its version 0.50 does so with a Linear4bit that is called in eval mode, and gradients taken
    later are wrong without a word.
    """
    import bitsandbytes as bnb

    for module in model.modules():
        if isinstance(module, bnb.nn.Linear4bit):
            module.support_avx512bf16_for_cpu = False


def _leave_files(model: Any, device: torch.device) -> None:
    """What was loaded as it stands in a file is that file, mapped, on a CPU: all of it would stay resident."""
    if device.type == "cpu":
        for parameter in model.parameters():
            if parameter.is_floating_point():
                parameter.data = parameter.data.clone()


def stop_ids(model: Any, tokenizer: Any, stops: Sequence[str] = ()) -> frozenset[int]:
    """Tokens that end a completion, as model and tokenizer name them; of a model that was loaded, or its skeleton.

    Of a recipe's `stops` those that are a special token: no text shows them.
    """
    known = model.generation_config.eos_token_id
    ids = known if isinstance(known, list) else [known]
    added = getattr(tokenizer, "added_tokens_decoder", {})
    special = [number for number, token in added.items() if str(token) in stops]
    return frozenset(int(i) for i in (*ids, tokenizer.eos_token_id, *special) if i is not None)


def free_bytes(device: torch.device) -> int:
    """Of the card, within what this process may take of it, torch's own unused blocks included; or of main memory."""
    if device.type != "cuda":
        return available_bytes()
    free, total = torch.cuda.mem_get_info()
    reserved = torch.cuda.memory_reserved()
    within_cap = int(torch.cuda.get_per_process_memory_fraction() * total) - reserved
    return max(0, min(free, within_cap) + reserved - torch.cuda.memory_allocated())


def lay_out(
    config: Any,
    memory_request: MemoryRequest,
    device: torch.device,
    dtype: torch.dtype,
    *,
    unsloth: bool = False,
    runtime: ResolvedRuntime | None = None,
) -> MemoryLayout:
    """`layout_of` a model that transformers knows, before its base is loaded; NoRoom where it cannot fit.

    What was chosen before is not refused: a run that is resumed tries.
    """
    shape, on_a_card = shape_of(config), device.type == "cuda"
    measures = on_a_card and runtime is None and not unsloth and shape.dense and memory_request.quantization == "nf4"
    rows = measured_rows(shape, device, dtype) if measures and dtype.itemsize == 2 else {}
    memory_budget = MemoryBudget(free_bytes(device), on_a_card, dtype.itemsize, rows_in_4_bits=rows)
    layout = layout_of(shape, memory_request, memory_budget, unsloth=unsloth, runtime=runtime)
    if runtime is None:
        refuse_too_large(layout)
    return layout

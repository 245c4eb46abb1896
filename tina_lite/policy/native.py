"""The engine that runs everywhere: transformers loads, bitsandbytes keeps the base in NF4, peft adds the adapter."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter

from tina_lite.policy.adapter_norm import AdapterNorm
from tina_lite.policy.adapters import attach_lora, dropout_of
from tina_lite.policy.dense.attention import can_flash
from tina_lite.policy.dense.autograd_ops import rows_of
from tina_lite.policy.dense.cuda_graphs import compiles_shapes
from tina_lite.policy.dense.decoder import DenseDecoder
from tina_lite.policy.dense.forward import Layout, final_hidden
from tina_lite.policy.dense.model import DenseModel, fits
from tina_lite.policy.hf_decoder import CachedDecoder, hidden_before_completions
from tina_lite.policy.interface import Decoder, TokenBatch
from tina_lite.policy.lm_head import Head, token_logprobs
from tina_lite.policy.memory_request import MemoryRequest
from tina_lite.policy.merge import save_tokenizer
from tina_lite.policy.model_folder import model_folder
from tina_lite.policy.pretrained import NAMES, compute_dtype, lay_out, load_base, read_config, stop_ids
from tina_lite.policy.self_check import refuse_changing_rope, refuse_disagreement, unchanging_tokens
from tina_lite.policy.vllm import Vllm
from tina_lite.recipe.schema import LoraSection, ModelSection
from tina_lite.util.memory import give_back_large_blocks
from tina_lite.util.stateful import ResolvedRuntime


class NativePolicy:
    """Holds a frozen base in NF4 with a bf16 LoRA adapter, on CPU or CUDA. Satisfies `Policy`."""

    vllm: Vllm | None = None

    def __init__(
        self,
        model: ModelSection,
        lora: LoraSection | None,
        tokenizer: Any,
        *,
        seed: int,
        memory_request: MemoryRequest | None = None,
        runtime: ResolvedRuntime | None = None,
        max_tokens: int = 0,
        stops: Sequence[str] = (),
    ) -> None:
        """Without `lora` it is the base alone, to be sampled.

        Args:
            demand: what is asked of memory; by default that of a completion.
            chosen: how memory was laid out when the run that is resumed began.
            max_tokens: of the longest sequence, prompt included, where that is known.
            stops: the recipe's; special tokens among them end a completion.

        Raises:
            NoRoom: the free memory does not suffice.
        """
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        config = read_config(model.id)
        refuse_changing_rope(config, max_tokens)
        self._dtype = compute_dtype(model.compute_dtype, self.device, config)
        memory_request = memory_request or MemoryRequest.sampling(model, lora)
        self.layout = lay_out(config, memory_request, self.device, self._dtype, runtime=runtime)
        if 2 * self.layout.peak > self.layout.free and self.device.type == "cpu":
            give_back_large_blocks()
        self.tokenizer = tokenizer
        self.base_name = model_folder(model.id)
        base = load_base(model, self._dtype, self.device)
        torch.manual_seed(seed)  # peft draws lora_A
        self.model = base if lora is None else attach_lora(base, lora)
        self.adapter_norm = AdapterNorm(self.model)
        self._causal_lm = base if lora is None else self.model.get_base_model()
        self.stop_ids = stop_ids(self._causal_lm, self.tokenizer, stops)
        self._head = Head.of(self._causal_lm)
        self._trains = False
        self._dense: DenseModel | None = None
        if fits(self._causal_lm):
            self._dense = DenseModel(
                self._causal_lm,
                self._dtype,
                dense_copy=self.layout.dense_copy,
                in_4_bits=self.layout.in_4_bits,
                half_sums=model.fp16_accumulation and self.device.type == "cuda",
            )
        self.shares_prompts = self._dense is not None
        self.dtype_name = NAMES[self._dtype]
        refuse_disagreement(self, self._causal_lm, self._dtype, max_tokens)

    def decoder(self, max_sequences: int, max_tokens: int) -> Decoder:
        if self._dense is not None:
            return DenseDecoder(self._dense, max_sequences, max_tokens)
        return CachedDecoder(self._causal_lm)

    def logprobs(self, batch: TokenBatch, temperature: float, adapter: bool = True) -> tuple[Tensor, Tensor]:
        if self._dense is not None:
            flashes = can_flash(self.device, self._dtype, self._dense.head_dim)
            mask_dtype = None if flashes else self._dtype
            layout = Layout.of(batch, self.device, mask_dtype, compiles_shapes(self.device, self._dtype))
            hidden = final_hidden(
                self._dense,
                layout,
                adapter=adapter,
                dropout=self._trains,
                keep=self.layout.activations if torch.is_grad_enabled() else "stored",
            )
            before, targets = rows_of(hidden, layout.predicting), layout.targets  # (K, H), (K,)
        else:
            with nullcontext() if adapter else self.model.disable_adapter():
                before, targets = hidden_before_completions(self._causal_lm, batch)
        values, entropies = token_logprobs(before, self._head, targets, temperature, self.layout.chunk_elements)
        mask = batch.completion_mask().to(self.device)
        zeros = torch.zeros(mask.shape, dtype=torch.float32, device=self.device)
        return zeros.masked_scatter(mask, values), zeros.masked_scatter(mask, entropies)

    @property
    def causal_lm(self) -> Any:
        """The model of transformers inside, with the adapter in its linear modules."""
        return self._causal_lm

    @property
    def dtype(self) -> torch.dtype:
        """What activations are computed in."""
        return self._dtype

    @property
    def context(self) -> int:
        """Tokens that the model can attend to, prompt and completion together."""
        config = self._causal_lm.config.get_text_config()
        return int(min(getattr(config, "max_position_embeddings", sys.maxsize), unchanging_tokens(config)))

    def trainable(self) -> dict[str, Parameter]:
        return {name: p for name, p in self.model.named_parameters() if p.requires_grad}

    def sync(self) -> None:
        if self._dense is not None:
            self._dense.refresh()

    @contextmanager
    def training(self) -> Iterator[None]:
        self._trains = True
        try:
            with dropout_of(self.model):
                yield
        finally:
            self._trains = False

    def save_adapter(self, folder: Path) -> None:
        self.model.save_pretrained(str(folder), save_embedding_layers=False)  # peft would ask the hub whether to
        save_tokenizer(self.tokenizer, folder)

"""The engine that runs everywhere: transformers loads, bitsandbytes keeps the base in NF4, peft adds the adapter."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import Parameter

from tina_lite.device import available_bytes
from tina_lite.policy.decoder import DenseDecoder
from tina_lite.policy.dense import DenseModel, fits
from tina_lite.policy.forward import Layout, final_hidden, kept_bytes
from tina_lite.policy.generic import CachedDecoder, hidden_before_completions
from tina_lite.policy.interface import Decoder, TokenBatch
from tina_lite.policy.loading import attach_lora, compute_dtype, load_base, model_folder, read_config, stop_ids
from tina_lite.policy.logprobs import token_logprobs

CACHE_SHARE = 0.25
"""Of free memory, for keys and values; activations and the logits of a step need the rest."""
DENSE_SHARE = 0.5
"""Of free memory, for a dense copy of the base; one that would need more is dequantised layer by layer instead."""
ACTIVATION_SHARE = 0.5
"""Of free memory, for what a forward pass keeps; one that would need more keeps a layer's input alone."""


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
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._dtype = compute_dtype(dtype, self.device, read_config(model_id))
        self.tokenizer = tokenizer
        self.base_name = model_folder(model_id)
        """Under which transformers finds the base again."""
        base = load_base(model_id, quantization, self._dtype, self.device)
        torch.manual_seed(seed)  # peft draws lora_A
        self.model = attach_lora(base, r, alpha, dropout, target_modules)
        self._causal_lm = self.model.get_base_model()
        self.stop_ids = stop_ids(self._causal_lm, self.tokenizer)
        self._dense: DenseModel | None = None
        if fits(self._causal_lm):
            copies = 2 if self.device.type == "cpu" else 1  # one to train on, one packed to sample from
            copy_bytes = copies * self._causal_lm.num_parameters() * self._dtype.itemsize
            resident = copy_bytes < DENSE_SHARE * self._free_bytes()
            self._dense = DenseModel(self._causal_lm, self._dtype, resident=resident)
        self.shares_prompts = self._dense is not None

    def decoder(self, max_rows: int, max_tokens: int) -> Decoder:
        if self._dense is not None:
            return DenseDecoder(self._dense, max_rows, max_tokens)
        return CachedDecoder(self._causal_lm)

    def logprobs(self, batch: TokenBatch, temperature: float, adapter: bool = True) -> tuple[Tensor, Tensor]:
        if self._dense is not None:
            layout = Layout.of(batch, self.device)
            hidden = final_hidden(
                self._dense,
                layout,
                adapter=adapter,
                dropout=self.model.training,
                recompute=torch.is_grad_enabled()
                and kept_bytes(self._dense, len(layout.ids)) > ACTIVATION_SHARE * self._free_bytes(),
            )
            before, targets = hidden.index_select(0, layout.predicting), layout.targets  # (K, H), (K,)
        else:
            with nullcontext() if adapter else self.model.disable_adapter():
                before, targets = hidden_before_completions(self._causal_lm, batch)
        values, entropies = token_logprobs(before, self._causal_lm.get_output_embeddings().weight, targets, temperature)
        mask = batch.completion_mask().to(self.device)
        zeros = torch.zeros(mask.shape, dtype=torch.float32, device=self.device)
        return zeros.masked_scatter(mask, values), zeros.masked_scatter(mask, entropies)

    def _free_bytes(self) -> int:
        if self.device.type == "cuda":
            free: int = torch.cuda.mem_get_info()[0]
            return free
        return available_bytes()

    def free_kv_tokens(self) -> int:
        """Cache tokens, over all rows, that fit in a share of the memory that is free now."""
        config = self._causal_lm.config
        head_dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
        bytes_per_token: int = 2 * config.num_hidden_layers * heads * head_dim * self._dtype.itemsize
        return max(1, int(self._free_bytes() * CACHE_SHARE) // bytes_per_token)

    def trainable(self) -> dict[str, Parameter]:
        return {name: p for name, p in self.model.named_parameters() if p.requires_grad}

    def sync(self) -> None:
        if self._dense is not None:
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

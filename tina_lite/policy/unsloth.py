"""The engine for a card: Unsloth's fused kernels on a base in NF4, our own decode loop over its fast forward pass.

Unsloth has two modes, and this policy rests in the one for sampling; `training` is the one place that switches. Its
attention keeps buffers from one decode step to the next and takes no notice of a cache that was put together anew, so
they are dropped whenever the sequences change. Without a card Unsloth runs transformers' own code, and so do the tests.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import snapshot_download
from torch import Tensor
from torch.nn import Parameter
from unsloth import FastLanguageModel  # this process has imported it before transformers: policy/engine.py
from unsloth_zoo.fused_losses.fused_linear import fused_linear_logprobs

from tina_lite.policy.adapter_norm import AdapterNorm
from tina_lite.policy.adapters import chosen_targets
from tina_lite.policy.engine import quiet
from tina_lite.policy.hf_decoder import CachedDecoder, hidden_before_completions
from tina_lite.policy.interface import Decoder, TokenBatch
from tina_lite.policy.memory_request import MemoryRequest
from tina_lite.policy.merge import save_tokenizer
from tina_lite.policy.model_folder import COMPUTES, model_folder
from tina_lite.policy.pretrained import (
    NAMES,
    compute_dtype,
    lay_out,
    loading,
    quiet_loading,
    read_config,
    stop_ids,
)
from tina_lite.policy.self_check import refuse_changing_rope, refuse_disagreement
from tina_lite.policy.vllm import Vllm
from tina_lite.recipe.schema import LoraSection, ModelSection
from tina_lite.util.hub import repo_and_revision
from tina_lite.util.stateful import ResolvedRuntime

DECODE_BUFFERS = ("paged_attention", "paged_attention_K", "paged_attention_V")


class UnslothPolicy:
    """Holds a frozen base in NF4 with an fp32 LoRA adapter, on CUDA, or on a CPU without kernels.

    Satisfies `Policy`.
    """

    shares_prompts = False

    def __init__(
        self,
        model: ModelSection,
        lora: LoraSection,
        tokenizer: Any,
        *,
        seed: int,
        memory_request: MemoryRequest,
        runtime: ResolvedRuntime | None = None,
        max_tokens: int,
        stops: Sequence[str] = (),
        vllm: bool = False,
    ) -> None:
        """`max_tokens` is the longest sequence, prompt included; `vllm` loads vLLM's engine on the same weights.

        For the rest see NativePolicy.
        """
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        config = read_config(model.id)
        refuse_changing_rope(config, max_tokens)
        self._dtype = compute_dtype(model.compute_dtype, self.device, config)
        self.dtype_name = NAMES[self._dtype]
        self.layout = lay_out(config, memory_request, self.device, self._dtype, unsloth=True, runtime=runtime)
        self.tokenizer = tokenizer
        self.base_name = model_folder(model.id)
        name, revision = repo_and_revision(self.base_name)
        if vllm and revision:  # which it would pass over
            name = snapshot_download(name, revision=revision, allow_patterns=list(COMPUTES))
        quiet_loading()
        with loading(model.id), quiet():
            base, _ = FastLanguageModel.from_pretrained(
                name,
                revision=revision,
                max_seq_length=max_tokens,
                dtype=self._dtype,
                load_in_4bit=model.quantization == "nf4",
                use_exact_model_name=True,
                offload_embedding=False,
                fast_inference=vllm,
                max_lora_rank=lora.r,
                trust_remote_code=False,
            )
        targets = chosen_targets(base, lora.target_modules)
        with quiet():
            self.model = FastLanguageModel.get_peft_model(
                base,
                r=lora.r,
                lora_alpha=lora.alpha,
                lora_dropout=lora.dropout,
                target_modules=list(targets),
                random_state=seed,
                use_gradient_checkpointing="unsloth",
            )
        self.model.peft_config["default"].revision = revision
        torch.manual_seed(seed)  # it has set seeds of its own
        self.adapter_norm = AdapterNorm(self.model)
        self._causal_lm = self.model.get_base_model()
        self.stop_ids = stop_ids(self._causal_lm, tokenizer, stops)
        self.vllm = Vllm(self.model) if vllm else None
        self._rest()
        refuse_disagreement(self, self._causal_lm, self._dtype, max_tokens, attention=None)  # it has put in its own

    def decoder(self, max_sequences: int, max_tokens: int) -> Decoder:
        return CachedDecoder(self._causal_lm, self._drop_decode_buffers)

    def logprobs(self, batch: TokenBatch, temperature: float, adapter: bool = True) -> tuple[Tensor, Tensor]:
        with nullcontext() if adapter else self.model.disable_adapter():
            hidden, targets = hidden_before_completions(self._causal_lm, batch)  # (K, H), (K,)
        values, entropies = fused_linear_logprobs(
            hidden,
            self._causal_lm.get_output_embeddings().weight,
            targets,
            temperature=temperature,
            logit_softcapping=getattr(self._causal_lm.config, "final_logit_softcapping", None) or 0.0,  # gemma2
            return_entropy=True,
            entropy_requires_grad=False,
        )
        mask = batch.completion_mask().to(self.device)
        zeros = torch.zeros(mask.shape, dtype=torch.float32, device=self.device)
        return zeros.masked_scatter(mask, values), zeros.masked_scatter(mask, entropies)

    def trainable(self) -> dict[str, Parameter]:
        return {name: p for name, p in self.model.named_parameters() if p.requires_grad}

    def sync(self) -> None:
        """Nothing to do: it samples with the adapter that it trains."""

    @contextmanager
    def training(self) -> Iterator[None]:
        self._drop_decode_buffers()
        with quiet():
            FastLanguageModel.for_training(self.model)
        try:
            yield
        finally:
            self._rest()

    def save_adapter(self, folder: Path) -> None:
        with quiet():
            self.model.save_pretrained(str(folder), save_embedding_layers=False)  # peft would ask the hub whether to
        save_tokenizer(self.tokenizer, folder)

    def _rest(self) -> None:
        """The mode for sampling."""
        with quiet():
            FastLanguageModel.for_inference(self.model)
        self._drop_decode_buffers()

    def _drop_decode_buffers(self) -> None:
        for module in self._causal_lm.modules():
            for name in DECODE_BUFFERS:
                module.__dict__.pop(name, None)

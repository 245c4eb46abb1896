"""What a run asks of memory, part by part, at the recipe's longest, and what there is. Without torch."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from math import prod

from tina_lite.policy.shape import ModelShape
from tina_lite.recipe import Recipe
from tina_lite.recipe.schema import LoraSection, ModelSection
from tina_lite.util.stateful import Activations, Product

ROWS_ENOUGH = 128
"""Rows decoded at once beyond those of a step, where an evaluation has as many: more are hardly faster."""
RESERVE = 0.05
"""Of free memory: blocks that do not fit together, workspaces of libraries."""
HALF_SUM_ROWS = 512
"""Multiplied at a time where sums are in float16."""
HALF_SUM_ITEM = 4 + 2
"""Each number of such a row is there in float32 too."""


@dataclass(frozen=True, slots=True)
class MemoryRequest:
    """What a run asks for at its longest."""

    prompts: int
    generations: int
    longest_prompt: int
    longest_completion: int
    micro_batch_tokens: int
    """0: nothing is learnt."""
    kv_tokens: int | None
    """As the recipe says; None: as memory allows."""
    eval_completions: int
    """Completions of one evaluation."""
    truncates: bool
    quantization: str
    r: int
    target_modules: tuple[str, ...]
    update_completions: int | None = None
    """Of a group, that take part in an update; None: all."""
    half_sums: bool = False
    """Of an update's products, whose weights are in float16 then."""

    @classmethod
    def of(cls, recipe: Recipe) -> "MemoryRequest":
        rollout, evaluation = recipe.rollout, recipe.eval
        return cls(
            prompts=rollout.prompts_per_step,
            generations=rollout.num_generations,
            longest_prompt=rollout.max_prompt_length,
            longest_completion=rollout.max_completion_length,
            micro_batch_tokens=recipe.optim.micro_batch_tokens,
            kv_tokens=rollout.kv_tokens,
            eval_completions=evaluation.problems * evaluation.samples * len(evaluation.benchmarks),
            truncates=rollout.truncates,
            quantization=recipe.model.quantization,
            r=recipe.lora.r,
            target_modules=recipe.lora.target_modules,
            update_completions=recipe.grpo.update_completions,
            half_sums=recipe.model.fp16_accumulation,
        )

    @classmethod
    def sampling(
        cls,
        model: ModelSection,
        lora: LoraSection | None,
        *,
        sequences: int = 1,
        prompt: int = 512,
        completion: int = 512,
    ) -> "MemoryRequest":
        """So many completions at once, and nothing is learnt."""
        return cls(
            prompts=sequences,
            generations=1,
            longest_prompt=prompt,
            longest_completion=completion,
            micro_batch_tokens=0,
            kv_tokens=None,
            eval_completions=0,
            truncates=False,
            quantization=model.quantization,
            r=lora.r if lora else 0,
            target_modules=lora.target_modules if lora else (),
        )

    @property
    def longest_sequence(self) -> int:
        """Tokens that the longest sequence has."""
        return self.longest_prompt + self.longest_completion

    @property
    def step_completions(self) -> int:
        return self.prompts * self.generations

    @property
    def trained_completions(self) -> int:
        return self.prompts * min(self.generations, self.update_completions or self.generations)

    @property
    def sequences(self) -> int:
        """That are worth decoding at once."""
        return max(self.step_completions, min(self.eval_completions, ROWS_ENOUGH))

    def step_tokens(self, shares_prompts: bool) -> int:
        """Count the tokens of one forward pass over all sequences."""
        prompts = self.prompts if shares_prompts else self.trained_completions
        return prompts * self.longest_prompt + self.trained_completions * self.longest_completion


@dataclass(frozen=True, slots=True)
class MemoryBudget:
    """Where a run is to be laid out."""

    free: int
    """Bytes that may be taken, before the base is loaded."""
    card: bool
    itemsize: int
    """Bytes of an activation."""
    runtime: int = 0
    """Of `free`, what interpreter and libraries will take; 0 where they are loaded."""
    rows_in_4_bits: Mapping[Product, int] = field(default_factory=dict)
    """Up to how many sequences the device multiplies a product faster in 4 bits than with a dense copy."""

    @property
    def usable(self) -> int:
        return int(self.free * (1 - RESERVE)) - self.runtime


PREFILL_PROMPTS = 16
"""Prompts read in one forward pass."""
ROWS_MULTIPLE = 8
"""Batches are of a multiple of so many sequences where they can be: a CPU compiles, and keeps, a kernel for each
new shape, which costs more than a few sequences do."""
LOGIT_COPIES = 5
"""Of a chunk of logits in float32, while log-probs are taken."""
CHUNK_ELEMENTS = 8 * 1024 * 1024
"""Logits held at once by the learner; 32 MiB in float32. A card may hold more, as its products want more rows."""
CHUNK_SHARE = 1 / 16
"""Of a card's free memory, for those and their copies."""
DRAW_COPIES, TRUNCATED_COPIES = 5, 10
"""Of a decode step's logits in float32, while a token is drawn; and where top-p sorts them."""
GENERIC_KEPT = 2
"""transformers' own forward pass keeps about so many times what ours does: an assumption."""
SHORTEST = 16
"""Tokens; the completions of a full micro-batch are taken for no shorter on average."""
SCORES = 16 * 1024 * 1024
"""Attention scores held at once on a CPU in 16 bits, 32 MiB; more where one sequence has more (dense/attention.py)."""
SCORE_COPIES = 5
"""Scores, weights, their gradients and the product under way."""
NF4_BLOCK = 64
"""Weights that share an absmax, itself one byte."""
UN_NESTED = 3 / NF4_BLOCK
"""Bytes more a weight where the absmax is in float32, as a product in 4 bits reads it."""
READ_IN_4_BITS = 0.5 + 4 / NF4_BLOCK
"""Bytes a weight that such a product reads."""
NF4_NESTED_BLOCK = 256
"""Absmaxes that share one in float32."""
NF4_TABLES = 256 * 4 + 16 * 4 + 4
"""Bytes that each module keeps beside: two code books and an offset."""


def sequences_at_once(most: int, wanted: int) -> int:
    """Rows to decode at once of those wanted, where `most` would fit into memory; at least one.

    >>> sequences_at_once(109, 128), sequences_at_once(109, 100), sequences_at_once(5, 100)
    (104, 100, 5)
    """
    if wanted <= most:
        return wanted
    return max(1, most - most % ROWS_MULTIPLE if most > ROWS_MULTIPLE else most)


def base_bytes(shape: ModelShape, quantization: str, itemsize: int) -> int:
    """The frozen base: projections in NF4 with double quantisation, embeddings, head, norms and biases as they are."""
    if quantization != "nf4":
        return shape.parameters * itemsize
    modules = shape.layers * len(shape.linears)
    return nf4_bytes(shape.linear_weights) + modules * NF4_TABLES + shape.other_weights * itemsize


def weights_in_4_bits(shape: ModelShape, in_4_bits: Collection[Product]) -> int:
    """Count the weights of products that a decode step multiplies in 4 bits."""
    return shape.layers * sum(prod(shape.mlp_products[product]) for product in in_4_bits)


def nf4_bytes(weights: int) -> int:
    """Count half a byte a weight, an absmax of one byte a block, and a float32 for each block of those.

    >>> nf4_bytes(64 * 256), 64 * 256 / 2 + 256 + 4
    (8452, 8452.0)
    """
    absmaxes = -(-weights // NF4_BLOCK)
    return weights // 2 + absmaxes + -(-absmaxes // NF4_NESTED_BLOCK) * 4


def chunk_elements(card: bool, free_bytes: float) -> int:
    """Logits held at once; a power of two, so that a little more or less free memory does not change how sums round."""
    if not card:
        return CHUNK_ELEMENTS
    fitting = max(1, int(CHUNK_SHARE * free_bytes / (4 * LOGIT_COPIES)))
    return max(CHUNK_ELEMENTS, 1 << (fitting.bit_length() - 1))


def reading_bytes(shape: ModelShape, memory_request: MemoryRequest, item: int) -> int:
    """Prompts as they are read, their keys and values stacked and turned, and kept for their groups."""
    tokens = min(PREFILL_PROMPTS, memory_request.prompts) * memory_request.longest_prompt
    return tokens * (3 * shape.kv_bytes(item) + (3 * shape.intermediate + 4 * shape.hidden) * item)


def sequence_bytes(shape: ModelShape, memory_request: MemoryRequest, item: int) -> int:
    """Of a sequence as it is decoded: its cache, scores and mask of one layer's attention, logits being drawn from."""
    copies = TRUNCATED_COPIES if memory_request.truncates else DRAW_COPIES
    attention = memory_request.longest_sequence * (2 * shape.heads * item + shape.kv_heads * (item + 1))
    return memory_request.longest_sequence * shape.kv_bytes(item) + attention + shape.vocabulary * (item + 4 * copies)


def learning_bytes(
    shape: ModelShape,
    memory_request: MemoryRequest,
    memory_budget: MemoryBudget,
    own: bool,
    activations: Activations,
    tokens: int,
) -> tuple[int, int]:
    """What a micro-batch of so many tokens keeps, and what is under way in its backward pass."""
    item, kept = memory_budget.itemsize, shape.kept_bytes(tokens, memory_budget.itemsize)
    inputs = shape.layers * tokens * shape.hidden * item
    if activations != "stored":
        kept = kept // shape.layers + (inputs if activations == "recomputed" else inputs // shape.layers)
    if not (memory_budget.card and item == 2):
        kept += tokens * memory_request.longest_sequence * (item + 1)  # one mask for all layers
        sequences = min(memory_request.trained_completions, tokens // SHORTEST)
        repeated = (
            sequences * memory_request.longest_prompt * 2 * shape.kv_heads * shape.head_dim * item
        )  # keys of the prompt
        kept += repeated * (shape.layers if activations == "stored" else 1)
    passing = tokens * 4 * (shape.intermediate + 2 * shape.hidden) * item
    if not memory_budget.card and item == 2:
        passing += SCORE_COPIES * min(SCORES, shape.heads * tokens * memory_request.longest_sequence) * item
    times = 1 if own else GENERIC_KEPT
    return times * kept, times * passing

"""What a run is: every field of a recipe with its default. The only place with defaults.

Names are TRL's and PEFT's; the defaults are those of the paper (Tina, arXiv 2504.15777). A section is also the settings
object of the room that bears its name: it is frozen, and a variant is `model_copy(update=...)`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field, PrivateAttr, WrapValidator, field_validator, model_validator

from tina_lite.recipe.fields import (
    NAMED_NATIVE,
    Count,
    FolderName,
    Lengths,
    MetricBound,
    Moment,
    Names,
    Number,
    Rows,
    Section,
    Texts,
    Words,
    one_fault,
)
from tina_lite.util.as_typed import as_list, as_rewards
from tina_lite.util.hub import repo_and_revision


class TurningPointSection(Section):
    patience: Count = Field(0, ge=0)
    """Steps that the run still takes once the turn is known."""


class StopSection(Section):
    max_steps: Count | None = Field(None, ge=1)
    max_hours: Number | None = Field(None, gt=0)
    max_tokens: Count | None = Field(None, ge=1)
    """Of prompts and completions, as the metric num_tokens counts them."""
    until: Moment | None = None
    """A time of day, 07:30, or a duration from the start of the process, 90m."""
    when: MetricBound | None = None
    """A metric and a bound, reward>=0.9: the run ends once it has held for `patience` steps in a row."""
    patience: Count = Field(3, ge=1)
    eval_patience: Count | None = Field(None, ge=1)
    """Evaluations by eval.every in a row without a gain beyond noise, after which the run ends."""
    hopeless: Count | None = Field(20, ge=1)
    """Steps in a row without one trained token, after which the run ends; null: it goes on."""
    on_turning_point: TurningPointSection | None = None
    """End the run where completions begin to grow while the format reward begins to fall: {patience: N}."""
    on_collapse: bool = False
    """End the run once an alarm says that the policy has collapsed."""


class EvalSection(Section):
    benchmarks: Names = ()
    """held_out, or a file.jsonl; measured before and after training."""
    every: Count | None = Field(None, ge=1)
    """Also every so many steps."""
    best: bool = False
    """Keep the adapter of the best evaluation, on the first benchmark, in adapter-best/."""
    problems: Count = Field(200, ge=1)
    samples: Count = Field(4, ge=1)
    temperature: Number | None = Field(None, ge=0)
    """Default: the rollout's."""


class CheckpointSection(Section):
    every_steps: Count = Field(50, ge=1)
    every_minutes: Number | None = Field(10, gt=0)
    """Also once so many minutes have passed since the last."""
    keep: Count = Field(2, ge=1)
    """The newest so many, beside the best by held-out Pass@1 where eval.every measures it."""


DtypeName = Literal["float32", "bfloat16", "float16"]
"""What activations are computed in."""


class ModelSection(Section):
    id: str = "deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B"
    """Hub id, maybe with @REVISION, local folder, or builtin:tiny, the base in the package."""
    quantization: Literal["nf4", "none"] = "nf4"
    engine: Annotated[Literal["auto", "native", "unsloth"], NAMED_NATIVE] = "auto"
    """auto: unsloth on a CUDA card for architectures that it alone accelerates, else native."""
    compute_dtype: Literal["auto", DtypeName] = "auto"
    """auto: bfloat16 on a card that has it, else float16; on a CPU bfloat16 where it is clearly faster."""
    fp16_accumulation: bool = False
    """An update's sums in float16, for GeForce cards."""

    @property
    def named(self) -> str:
        """The id for people, without a commit."""
        return repo_and_revision(self.id)[0]


class LoraSection(Section):
    r: Count = Field(32, ge=1, le=1024)
    alpha: Number = Field(128, gt=0)
    dropout: Number = Field(0.05, ge=0, lt=1)
    target_modules: Annotated[Words, Field(min_length=1)] = (
        "q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"
    )  # fmt: skip
    """Or all-linear: every linear layer but embedding and head."""


class SourceSection(Section):
    """Where problems come from, alone or as a part of a mixture."""

    source: str
    """Hub id, maybe with @REVISION; a .jsonl, .json, .csv, .tsv or .parquet file, .gz or .zst of one, a folder of them;
    reasoning_gym:TASK, or a mixture (reasoning_gym:chain_sum=2,gcd); module:function; arithmetic."""
    split: str | None = None
    """Of a hub data set or a built-in task; default: train."""
    config: str | None = None
    prompt: str | None = None
    """Column of the question; found by name where not given."""
    answer: str | None = None
    where: Rows | None = None
    """Which rows are taken, such as level >= 3 and source != "synthetic"."""
    limit: Count | None = Field(None, ge=1)
    """The first usable problems."""
    streaming: bool = False
    """Fetch no more of a hub data set than limit needs."""
    params: dict[str, Any] = Field(default_factory=dict)
    """Parameters of a generated task, or arguments of a function."""


class PartSection(SourceSection):
    weight: Number = Field(1.0, gt=0)
    """Share of the prompts, beside the weights of the other parts."""


class DataSection(SourceSection):
    source: str = ""
    mixture: tuple[PartSection, ...] = ()
    """Several sources with weights, in the place of one."""
    system_prompt: str | None = None
    """In the place of one that the data holds."""
    chat_template_kwargs: dict[str, Any] = Field(default_factory=dict)
    """Switches of the model's chat template, such as {enable_thinking: false}."""
    shuffle: bool = True
    """False: each epoch goes through the problems in the order of the data, such as a curriculum's."""
    held_out: Number = Field(0.05, gt=0, lt=1)
    """Share of the problems kept from training for eval, by a hash of the question."""
    difficulty: str | None = None
    """Column with a problem's solve rate, 0 to 1."""
    difficulty_key: Words = ()
    """Columns that tell kinds of equally hard problems apart; default: each is a kind of its own."""
    target_length: Lengths | None = None
    """Shortest and longest: each prompt asks for a length in tokens drawn between them (L1, arXiv 2503.04697)."""

    @model_validator(mode="after")
    def _one_source_or_several(self) -> "DataSection":
        if bool(self.source) == bool(self.mixture):
            raise ValueError("give either source or mixture: [{source: FILE, weight: 2}, {source: HUB_ID, weight: 1}]")
        for name, field in SourceSection.model_fields.items() if self.mixture else ():
            if name != "source" and getattr(self, name) != field.get_default(call_default_factory=True):
                raise ValueError(f"{name} is of one source; write it into the parts of mixture that it is for")
        return self

    @property
    def named(self) -> str:
        """Name the source, or those of a mixture, for people: without a commit."""
        sources = [self.source] if self.source else [part.source for part in self.mixture]
        return " + ".join(repo_and_revision(source)[0] for source in sources)


class RolloutSection(Section):
    engine: Annotated[Literal["native", "vllm"], NAMED_NATIVE] = "native"
    """native: tina-lite's sampler; vllm: vLLM on the weights of the unsloth engine, on a CUDA card."""
    prompts_per_step: Count = Field(4, ge=1)
    selection: Literal["uniform", "difficulty"] = "uniform"
    """difficulty: of four times as many, those that are solved about half of the time."""
    num_generations: Count = Field(4, ge=2)
    max_prompt_length: Count = Field(512, ge=1)
    max_completion_length: Count = Field(3584, ge=1)
    temperature: Number = Field(0.7, gt=0)
    """Above 0: completions that are all alike teach nothing."""
    top_p: Number = Field(1.0, gt=0, le=1)
    top_k: Count = Field(0, ge=0)
    """0: off."""
    min_p: Number = Field(0.0, ge=0, lt=1)
    """0: off."""
    stop: Texts = ()
    """A completion also ends with the first of these texts, which it keeps, across tokens too."""
    stop_loops: bool = False
    """End completions that go in circles; they count as cut off."""
    resample_zero_variance: Count = Field(0, ge=0)
    """How often in a step groups without variance are replaced by fresh problems."""
    kv_tokens: Count | None = Field(None, ge=16)
    """KV cache of the sampler in tokens over all rows; default: from free memory."""

    @property
    def truncates(self) -> bool:
        return self.top_p < 1.0 or self.top_k > 0 or self.min_p > 0.0

    @property
    def scoring_temperature(self) -> float:
        """The temperature at which log-probs are given; a greedy policy (an evaluation's may be 0) is scored at 1."""
        return self.temperature or 1.0

    @property
    def max_tokens(self) -> int:
        """Tokens that the longest sequence has, prompt included."""
        return self.max_prompt_length + self.max_completion_length


class RewardSection(Section):
    """`{name: cosine, weight: 2, max_length: 3584}`: what is not a field here goes to the function."""

    model_config = ConfigDict(extra="allow", frozen=True)

    name: str
    weight: Number = 1.0
    on_error: Number | None = 0.0
    """What a completion gets on which the function fails; null: it is left out of the sum."""
    limit_s: Number = Field(30.0, gt=0)
    """Wall clock of a function of your own on the completions of a step."""
    max_failures: Count | None = Field(None, ge=0)
    """Completions on which it may fail before the run ends; null: now and then."""
    completions: Literal["auto", "chat", "text"] = "auto"
    """How a function of TRL's signature gets completions and prompts. auto: as chats, or as texts where its annotation
    says so (completions: list[str])."""

    @model_validator(mode="before")
    @classmethod
    def _name_alone(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value

    @property
    def params(self) -> dict[str, Any]:
        return dict(self.model_extra or {})


class GrpoSection(Section):
    loss_type: Literal["grpo", "bnpo", "dr_grpo", "dapo", "cispo", "gspo"] = "grpo"
    scale_rewards: Literal["group", "batch", "none"] = "group"
    epsilon: Number = Field(0.2, gt=0)
    epsilon_high: Number | None = Field(None, gt=0)
    """Upper clip; epsilon where not given. For cispo the largest ratio itself, 5.0 where not given."""
    delta: Number | None = Field(None, gt=1)
    """Upper bound of the unclipped ratio (INTELLECT-2, arXiv 2505.07291)."""
    beta: Number = Field(0.0, ge=0)
    num_iterations: Count = Field(1, ge=1)
    """Optimiser steps on one rollout."""
    tis_cap: Number | None = Field(None, gt=0)
    """Truncated importance sampling between sampler and learner; off where not given, 2 with rollout.engine: vllm."""
    mask_truncated_completions: bool = False
    update_completions: Count | None = Field(None, ge=1)
    """Completions of a group that the update learns from; its expected gradient stays."""


class OptimSection(Section):
    learning_rate: Number = Field(1.0e-6, ge=0)
    lr_scheduler_type: Literal["cosine", "linear", "constant"] = "cosine"
    warmup_ratio: Number = Field(0.1, ge=0, le=1)
    lr_horizon: Literal["steps", "budget"] = "steps"
    """Over what warm-up and decay run: schedule_steps, or the share of the nearest limit that is used up."""
    schedule_steps: Count | None = Field(None, ge=1)
    """Default: stop.max_steps. The paper laid its rate out over about twice its steps."""
    min_lr_ratio: Number = Field(0.1, ge=0, le=1)
    max_grad_norm: Number = Field(1.0, gt=0)
    adam_beta1: Number = Field(0.9, ge=0, lt=1)
    adam_beta2: Number = Field(0.999, ge=0, lt=1)
    weight_decay: Number = Field(0.0, ge=0)
    micro_batch_tokens: Count = Field(4096, ge=64)
    """Tokens in one forward and backward pass; changes memory, not the gradient."""


class Electricity(Section):
    watts: Literal["auto"] | Annotated[Number, Field(gt=0)]
    """auto: as an NVIDIA card measures it."""
    usd_per_kwh: Number = Field(ge=0)


class BudgetSection(Section):
    max_usd: Number | None = Field(None, gt=0)
    rate: Annotated[Literal["auto"] | Annotated[Number, Field(ge=0)] | Electricity, WrapValidator(one_fault)] = "auto"
    """auto, US dollars per hour, or {watts, usd_per_kwh}."""
    billing: Literal["second", "minute", "hour"] = "second"
    """A started minute or hour of a session is paid whole; by the second, and electricity, is what was used."""


class Recipe(Section):
    """One run, whole. `load_recipe` reads it from YAML."""

    name: FolderName = "run"
    """Names the run's folder."""
    seed: Count = Field(42, ge=0, lt=2**63)
    model: ModelSection = Field(default_factory=ModelSection)
    lora: LoraSection = Field(default_factory=LoraSection)
    data: DataSection
    rollout: RolloutSection = Field(default_factory=RolloutSection)
    rewards: Annotated[tuple[RewardSection, ...], BeforeValidator(as_rewards)] = (
        RewardSection(name="accuracy", weight=2),
        RewardSection(name="format", weight=1),
    )
    grpo: GrpoSection = Field(default_factory=GrpoSection)
    optim: OptimSection = Field(default_factory=OptimSection)
    budget: BudgetSection = Field(default_factory=BudgetSection)
    stop: StopSection = Field(default_factory=StopSection)
    eval: EvalSection = Field(default_factory=EvalSection)
    checkpoint: CheckpointSection = Field(default_factory=CheckpointSection)
    probe: bool = True
    """Whether the memory of the longest step is tried before the first one, where it will be tight."""
    track: Annotated[tuple[Literal["tensorboard", "wandb", "trackio"], ...], BeforeValidator(as_list)] = ()
    """Who else gets the metrics; each needs its package (the extra `track` has all)."""
    notify: str | None = None
    """Where a line of JSON is posted at start, alarm and end; `$NAME` for a variable that holds the address."""
    alarms: Mapping[str, float | None] = Field(default_factory=dict)
    """Other thresholds of alarms, by name; null turns one off. `tina-lite alarms` lists them."""
    callbacks: Annotated[tuple[str, ...], BeforeValidator(as_list)] = ()
    """Functions or classes of one's own that look at every step and may end the run, as file.py:function."""

    _folders: tuple[Path, ...] = PrivateAttr(default_factory=lambda: (Path.cwd(),))

    @field_validator("rewards")
    @classmethod
    def _names_are_unique(cls, rewards: tuple[RewardSection, ...]) -> tuple[RewardSection, ...]:
        names = [reward.name for reward in rewards]
        if not names:
            raise ValueError("needs one reward or more")
        if len(set(names)) < len(names):
            raise ValueError("a reward is named twice; merge the two weights")
        return rewards

    @model_validator(mode="after")
    def _best_is_measured(self) -> "Recipe":
        for field, wanted in (("eval.best", self.eval.best), ("stop.eval_patience", self.stop.eval_patience)):
            if wanted and not (self.eval.every and self.eval.benchmarks):
                raise ValueError(f"{field}: needs eval.every and eval.benchmarks, which measure while training")
        return self

    @model_validator(mode="after")
    def _one_horizon(self) -> "Recipe":
        if self.optim.lr_horizon == "budget" and self.optim.schedule_steps is not None:
            raise ValueError("optim.schedule_steps: lr_horizon: budget follows the limits instead; leave one out")
        return self

    @model_validator(mode="after")
    def _difficulty_is_asked_for(self) -> "Recipe":
        for name in ("difficulty", "difficulty_key"):
            if getattr(self.data, name) and self.rollout.selection == "uniform":
                raise ValueError(f"data.{name}: does nothing without rollout.selection: difficulty")
        return self

    @model_validator(mode="after")
    def _vllm_draws_plainly(self) -> "Recipe":
        rollout = self.rollout
        if rollout.engine == "vllm" and rollout.stop_loops:
            raise ValueError("rollout.stop_loops: vLLM decodes by itself, and nobody can look; leave one of them out")
        if rollout.engine == "vllm" and rollout.truncates:
            raise ValueError(
                "rollout.engine: vllm gives log-probs after truncation, which the learner cannot match; "
                "set top_p=1, top_k=0 and min_p=0, or engine=native"
            )
        return self

    @property
    def loss(self) -> GrpoSection:
        """grpo, with tis_cap 2 where vLLM samples and none is given: its log-probs differ by more than rounding."""
        if self.grpo.tis_cap is None and self.rollout.engine == "vllm":
            return self.grpo.model_copy(update={"tis_cap": 2.0})
        return self.grpo

    @property
    def folder(self) -> Path:
        """Where the recipe's file stands; relative paths in it may start there."""
        return self._folders[0]

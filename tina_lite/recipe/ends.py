"""When a run ends, what it measures on the way, and what it keeps: sections of a recipe."""

from pydantic import Field

from tina_lite.recipe.fields import Count, MetricBound, Moment, Names, Number, Section


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
    on_collapse: bool = False
    """End the run where the policy has collapsed, rather than warn alone."""


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

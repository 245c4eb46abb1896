"""What a run has shown: its seconds a step and its lengths, which correct the forecast of the next."""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median

from tina_lite.errors import BadInput
from tina_lite.recipe import Recipe
from tina_lite.runs.folder import folders_named
from tina_lite.runs.look import begins, records


@dataclass(frozen=True, slots=True)
class Measured:
    """A run as measured."""

    folder: str
    recipe: Recipe
    device: str
    """As the run named it."""
    steps: int
    step_s: float
    """Median; the first step, which warms up, is left out where there are others."""
    prompt: float
    """Tokens on average."""
    completion: float
    peak_bytes: int

    @property
    def lengths(self) -> dict[str, float]:
        """Prompts and completions as shares of the longest that the run's recipe allows."""
        rollout = self.recipe.rollout
        return {
            "prompt_share": min(1.0, self.prompt / rollout.max_prompt_length),
            "completion_share": min(1.0, self.completion / rollout.max_completion_length),
        }


def read_measured(folder: Path) -> Measured:
    """The steps of a run folder. BadInput where there are none."""
    if not (folder / "recipe.yaml").is_file():
        raise BadInput(f"--run: {folder} is no run folder (no recipe.yaml there)")
    steps = list(records(folder / "metrics.jsonl"))
    if not steps:
        raise BadInput(f"--run: {folder} has no step in its metrics.jsonl; the plan cannot be corrected by it")
    started = list(records(folder / "events.jsonl", begins("run_started")))
    recipe = Recipe.load(folder / "recipe.yaml")
    warm = steps[1:] or steps
    try:
        decoded = sum(step["tokens_per_second"] * step["step_time"] for step in steps)
        prompts = len(steps) * recipe.rollout.prompts_per_step
        return Measured(
            folder=str(folder),
            recipe=recipe,
            device=started[-1]["device"] if started else "",
            steps=len(steps),
            step_s=median(step["step_time"] for step in warm),
            prompt=max(1.0, (steps[-1]["num_tokens"] - decoded) / prompts),
            completion=fmean(step["completions/mean_length"] for step in steps),
            peak_bytes=int(max(step["peak_bytes"] for step in steps)),
        )
    except KeyError as missing:
        raise BadInput(f"--run: {folder}/metrics.jsonl has no {missing}; it is of another version") from None


def newest_measured(runs: Path, name: str) -> Measured | None:
    """The newest run of this name that took a step; None without one."""
    for folder in folders_named(runs, name):
        with suppress(BadInput):
            return read_measured(folder)
    return None

"""Stopping the weak early: at the same dollars, by held-out Pass@1, and never on a difference that may be noise.

Ray Tune's ASHA (Li et al., arXiv 1810.05934) says who would have to stop. Whoever it names is then compared, problem by
problem, with the middle one of the other settings, and stops only where it is clearly worse. Seeds of one setting are
never held against each other.
"""

from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tina_lite.budget.money import format_usd
from tina_lite.data.benchmarks import form_of
from tina_lite.eval.samples import SampleFile
from tina_lite.eval.scoring import Comparison, Judged, compared, judged
from tina_lite.eval.tables import in_words
from tina_lite.runs.folder import EVALS, evaluation_file
from tina_lite.runs.look import begins, records
from tina_lite.util.errors import BadInput

REDUCTION = 1.25
"""At each rung the lowest fifth is looked at; the next rung is a quarter more dollars away.

As many are left after ten times the dollars as with ASHA's usual halves or quarters, and no evaluation falls between.
"""
RUNGS = 25
"""Looks at a trial: from 1/265 on of the dollars that it may come to."""
CLEARLY = 0.01
"""The p-value below which a trial is ended: it is looked at many times."""


@dataclass(frozen=True, slots=True)
class TrialEval:
    """An evaluation of a trial during its run."""

    usd: float
    """What the trial had spent by then."""
    pass_at_1: float
    samples: Path
    """Its completions."""


def evaluations(folder: Path) -> list[TrialEval]:
    """Those of a run folder at steps of its training, the first benchmark's alone."""
    found: dict[int, TrialEval] = {}
    for row in records(folder / "events.jsonl", begins("eval")):
        if row.get("when") == "step" and row["step"] not in found:
            samples = evaluation_file(folder / EVALS, "step", row["step"], row["benchmark"])
            found[row["step"]] = TrialEval(float(row["usd"]), float(row["pass_at_1"]), samples)
    return [found[step] for step in sorted(found)]


class Rungs:
    """Says which trials are too weak to go on."""

    def __init__(self, usd: float) -> None:
        """`usd` is what a trial may come to. BadInput without Ray Tune."""
        try:
            from ray.tune.schedulers import AsyncHyperBandScheduler
        except ImportError:
            raise BadInput("scheduler: asha needs Ray Tune: pip install 'tina-lite[sweep]'") from None
        self._milestones = [usd / REDUCTION**rung for rung in range(RUNGS, 0, -1)]
        self._asha: Any = AsyncHyperBandScheduler(
            time_attr="usd",
            metric="pass_at_1",
            mode="max",
            max_t=usd,
            grace_period=self._milestones[0],
            reduction_factor=REDUCTION,
            stop_last_trials=False,
        )
        self._milestones_of: dict[int, list[float]] = {}
        """By trial, those that it has not come to."""
        self._seen: dict[int, tuple[int, list[TrialEval]]] = {}
        """By trial: its setting, and its evaluations."""
        self._looked_at: dict[int, int] = {}
        """Bytes of a trial's figures when they were last read."""

    def verdict(self, trial: int, setting: int, folder: Path) -> str | None:
        """Look at what a trial has come to since; why it is too weak, or None."""
        size = figures_size(folder)
        if size == self._looked_at.get(trial, 0):
            return None
        known = SimpleNamespace(trial_id=str(trial))
        if trial not in self._looked_at:
            self._asha.on_trial_add(None, known)
        self._looked_at[trial] = size
        found = evaluations(folder)
        self._seen[trial] = setting, found
        left = self._milestones_of.setdefault(trial, list(self._milestones))
        for seen in found:
            while left and seen.usd >= left[0]:
                asked = {"usd": left.pop(0), "pass_at_1": seen.pass_at_1}
                if self._asha.on_trial_result(None, known, asked) == "STOP" and (why := self._behind(seen, setting)):
                    return f"at {format_usd(seen.usd)}, {why}"
        return None

    def _behind(self, seen: TrialEval, setting: int) -> str | None:
        """How an evaluation falls behind the middle one of other settings, each at no more dollars than it."""
        others = []
        for other, found in self._seen.values():
            cheaper = [one for one in found if one.usd <= seen.usd]
            if other != setting and cheaper:
                others.append(cheaper[-1])
        others.sort(key=lambda one: one.pass_at_1)
        return weaker(seen, others[(len(others) - 1) // 2]) if others else None


def figures_size(folder: Path) -> int:
    """Bytes of the file that grows with each evaluation; 0 where there is none."""
    try:
        return (folder / "figures.jsonl").stat().st_size
    except OSError:
        return 0


def weaker(one: TrialEval, other: TrialEval) -> str | None:
    """How one evaluation falls behind another on the problems that both were asked; None where that may be noise."""
    ours, theirs = SampleFile(one.samples).groups, SampleFile(other.samples).groups
    same = [number for number in ours.keys() & theirs.keys() if ours[number][0].prompt == theirs[number][0].prompt]
    both: list[list[Judged]] = []
    for groups in (ours, theirs):
        samples = max((len(kept) for kept in groups.values()), default=1)
        both.append(judged({number: groups[number] for number in same}, samples, form_of(one.samples.stem)))
    found: Comparison | None = compared("it", "the middle one of other settings", one.samples.stem, *both)
    return in_words(found) if found and found.p < CLEARLY and found.difference < 0 else None

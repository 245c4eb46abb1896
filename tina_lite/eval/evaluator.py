"""The benchmarks of a run, before, during and after training: inside the money, and every figure whole or absent."""

import random
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from math import inf
from typing import Any

from tina_lite.budget.limits import OutOfTimeCheck, Stopwatch
from tina_lite.data.benchmarks import form_of
from tina_lite.data.sources import EVAL_SEED
from tina_lite.eval.samples import Figures, SampleFile, sample_missing
from tina_lite.eval.scoring import Result, judged, result_of
from tina_lite.eval.statistics import Z95
from tina_lite.recipe.schema import EvalSection
from tina_lite.rollout.sampler import Sampler
from tina_lite.runs.events import Evaluated
from tina_lite.runs.folder import evaluation_file
from tina_lite.runs.session import Session
from tina_lite.runs.state import Count
from tina_lite.runs.summary import eval_fields
from tina_lite.util.errors import BadInput
from tina_lite.util.records import EvalResult, Prompt
from tina_lite.util.stateful import Fields, adapter
from tina_lite.util.wall_clock import OutOfTime

LEAST_PROBLEMS = 8
"""Asked first, to forecast the rest by."""
FIRST_SHARE = 0.05
"""Of the problems that are asked first, where that is more."""
FORECAST_CAUTION = 1.1

Results = dict[str, dict[str, EvalResult]]
"""By "before" and "after", results by benchmark."""


@dataclass(slots=True)
class Gains(Fields):
    """What evaluations have shown so far, on the first benchmark; a checkpoint keeps it."""

    best_pass_at_1: float = -1.0
    """-1 before there is one."""
    best_eval_step: Count = 0
    evaluated_step: Count = 0
    """After which an evaluation was counted last."""
    eval_level: float | None = None
    """Pass@1 that an evaluation has to pass, by more than noise, to count as a gain."""
    evals_without_gain: Count = 0
    """In a row."""


class Evaluator:
    """Asks each benchmark, and keeps the figures of before and after, which are of the same problems."""

    def __init__(
        self,
        session: Session,
        sampler: Sampler,
        benchmarks: Mapping[str, Sequence[Prompt]],
        settings: EvalSection,
        patience: int | None = None,
    ) -> None:
        """`patience`: evaluations in a row without a gain, after which the run is to end."""
        # A cut takes the first ones, so they are in no order that means something.
        self._benchmarks = {name: _shuffled(prompts) for name, prompts in benchmarks.items()}
        self._session = session
        self._sampler = sampler
        self._settings = settings
        self._patience = patience
        self._kept = Figures(lambda: session.folder.figures)
        self._deadlines = session.deadlines
        self.results: Results = {}
        self.gains = Gains()
        self._when = "before"
        self._step = 0

    def state(self) -> Any:
        """Give the figures of before and after."""
        return adapter(Results).dump_python(self.results, mode="json")

    def load_state(self, state: Any) -> None:
        self.results = adapter(Results).validate_python(state)

    def summary(self) -> dict[str, Any]:
        """What summary.json says: the figures of before and after, and the best between."""
        gains, adapter_folder = self.gains, self._session.folder.best_adapter
        best = {
            "step": gains.best_eval_step,
            "pass_at_1": round(gains.best_pass_at_1, 5),
            "adapter": str(adapter_folder) if adapter_folder.exists() else None,
        }
        figures = {when: eval_fields(self.results.get(when, {})) for when in ("before", "after")}
        return {"eval": figures, "best_eval": best if gains.best_eval_step else None}

    def before(self) -> None:
        """Measure every benchmark that has no figure yet; one that would take too much asks fewer problems."""
        each_s = self._deadlines.eval_share_s() / max(1, len(self._benchmarks))
        self._measure("before", 0, list(self._benchmarks), lambda name: self._first(name, each_s))

    def is_due(self, step: int) -> bool:
        """Whether a step of the run is followed by an evaluation; the last one is, in any case."""
        every = self._settings.every
        return every is not None and step % every == 0 and step != self._deadlines.limits.max_steps

    def during(self, step: int) -> bool:
        """Where it leaves enough for the last evaluation. Whether the first benchmark was never as good."""
        expected_s = FORECAST_CAUTION * self._deadlines.timings.eval
        if expected_s + self._deadlines.reserve_s > self._deadlines.left().seconds:
            self._warn(
                f"no evaluation after step {step}: it may take {expected_s:.0f} s, which the end of the run needs"
            )
            return False
        return self._count(step, lambda name: self._again(name, self._deadlines.reserve_s))

    def recount(self, step: int) -> bool:
        """`during` of a step whose figures are kept but in no checkpoint: who measured them was killed behind it."""
        if self.gains.evaluated_step == step or not self._kept.of("step", step):
            return False
        return self._count(step, lambda name: None)

    def _count(self, step: int, figure: Callable[[str], EvalResult | None]) -> bool:
        names = self._measured()
        found = self._measure("step", step, names, figure)
        if names and names[0] in found:
            self._count_gain(found[names[0]], self.results["before"][names[0]])
            self.gains.evaluated_step = step
        return self._is_best(found, step)

    def after(self, step: int) -> bool:
        """Measure the problems of before once more. Whether the first benchmark was never as good."""
        found = self._measure(
            "after", step, self._measured(), lambda name: self._again(name, self._deadlines.save_reserve_s)
        )
        return self._is_best(found, step)

    @property
    def stop_reason(self) -> str | None:
        """Whether it has measured no gain for long enough."""
        ends = self._patience is not None and self.gains.evals_without_gain >= self._patience
        return "eval_patience" if ends else None

    def _is_best(self, found: Mapping[str, EvalResult], step: int) -> bool:
        gains, first = self.gains, next(iter(self._benchmarks), "")
        if first not in found or found[first].pass_at_1 <= gains.best_pass_at_1:
            return False
        gains.best_pass_at_1, gains.best_eval_step = found[first].pass_at_1, step
        return True

    def _count_gain(self, now: EvalResult, before: EvalResult) -> None:
        """A gain is more than one standard error above the level, which is that of before or of the last gain."""
        gains = self.gains
        level = before.pass_at_1 if gains.eval_level is None else gains.eval_level
        gained = now.pass_at_1 > level + (now.ci95[1] - now.ci95[0]) / 2 / Z95
        gains.eval_level = now.pass_at_1 if gained else level
        gains.evals_without_gain = 0 if gained else gains.evals_without_gain + 1

    def _measure(
        self, when: str, step: int, names: Sequence[str], figure: Callable[[str], EvalResult | None]
    ) -> dict[str, EvalResult]:
        """Figures of `names`, those included that were there already, until a signal comes."""
        self._when, self._step = when, step
        found = {} if when == "step" else self.results.setdefault(when, {})
        kept, missing = self._kept.of(when, step), [name for name in names if name not in found]
        if not missing:
            return found
        with self._session.phases("eval", step) as phase:
            for name in missing:
                result = kept.get(name) or (None if self._session.stop else figure(name))
                if result is not None:
                    if name not in kept:
                        self._kept.keep(when, step, result)
                    found[name] = result
                    fields = {field: getattr(result, field) for field in EvalResult.__slots__}
                    self._session.events.emit(Evaluated(when=when, step=step, **fields))
            phase.is_typical = bool(found)
        return found

    def _measured(self) -> list[str]:
        """Benchmarks that have a figure to be compared with."""
        return [name for name in self._benchmarks if name in self.results.get("before", {})]

    def _first(self, name: str, share_s: float) -> EvalResult | None:
        """On as many problems as the share pays for, by a forecast from the first that are not asked yet."""
        prompts, deadlines = self._benchmarks[name], self._deadlines
        watch, file = Stopwatch(self._session.meter), self._file(name)
        ready = next((place for place, one in enumerate(prompts) if self._missing(file, [one])), len(prompts))
        if share_s == inf or ready == len(prompts):
            return self._figure(name, self._ask(name, file, prompts, deadlines.out_of_time(0.0)))
        few = min(len(prompts), ready + max(LEAST_PROBLEMS, int(FIRST_SHARE * len(prompts))))
        out_of_time = deadlines.out_of_time(deadlines.save_reserve_s, share_s)
        first = self._ask(name, file, prompts[:few], out_of_time, of=len(prompts))
        if first is None:
            share = f"{share_s:.0f} s, its share of the budget"
            self._warn(f"no evaluation on {name}: {few - ready} problems take more than {share}")
            return None
        spent_s = watch.seconds
        count = few + int(max(0.0, share_s - spent_s) / (FORECAST_CAUTION * spent_s / (few - ready)))
        if count < len(prompts):
            self._warn(
                f"evaluation on {name} asks {count} of its {len(prompts)} problems: more would take longer than "
                f"{share_s:.0f} s, its share of the budget"
            )
        out_of_time = deadlines.out_of_time(deadlines.save_reserve_s, 2 * share_s)
        return self._figure(name, self._ask(name, file, prompts[:count], out_of_time))

    def _again(self, name: str, reserve_s: float) -> EvalResult | None:
        prompts = self._benchmarks[name][: self.results["before"][name].problems]
        return self._figure(name, self._ask(name, self._file(name), prompts, self._deadlines.out_of_time(reserve_s)))

    def _figure(self, name: str, found: Result | None) -> EvalResult | None:
        if found is None:
            self._warn(f"no figure on {name}: its problems were not finished in time")
            return None
        if found.undecided:
            self._warn(
                f"evaluation on {name}: {found.undecided} completions could not be judged in time, and count as wrong"
            )
        return found.figure()

    def _file(self, name: str) -> SampleFile:
        """What was sampled on a benchmark in this evaluation; a broken file is begun anew."""
        path = evaluation_file(self._session.folder.evals, self._when, self._step, name)
        try:
            return SampleFile(path)
        except BadInput:
            path.unlink()
            return SampleFile(path)

    def _missing(self, file: SampleFile, prompts: Sequence[Prompt]) -> bool:
        return bool(file.missing([prompt.problem for prompt in prompts], self._settings.samples))

    def _ask(
        self,
        name: str,
        file: SampleFile,
        prompts: Sequence[Prompt],
        out_of_time: OutOfTimeCheck,
        of: int | None = None,
    ) -> Result | None:
        """Sampled and judged; None where a limit or a signal came first. `of`: problems that may be asked in all."""
        session, samples = self._session, self._settings.samples
        ready, in_all = file.count, samples * (of or len(prompts))
        tell = session.phases.progress("eval", self._step, "completions")
        if self._missing(file, prompts):
            sample_missing(
                file,
                self._sampler,
                prompts,
                samples,
                usd=session.meter.usd,
                out_of_time=out_of_time,
                progress=lambda done, _: tell(ready + done, in_all),
            )
        if self._missing(file, prompts):
            return None
        asked = {prompt.problem.index for prompt in prompts}
        groups = {problem: kept for problem, kept in file.groups.items() if problem in asked}
        with suppress(OutOfTime), session.stop.limited(self._judging_may_take_s()):
            found = judged(groups, samples, form_of(name))
            return result_of("", name, groups, found, len(asked), 0)
        return None

    def _judging_may_take_s(self) -> float:
        return max(0.0, self._deadlines.left().seconds - self._deadlines.save_reserve_s)

    def _warn(self, text: str) -> None:
        if not self._session.stop:
            self._session.warn(text)


def _shuffled(prompts: Sequence[Prompt]) -> list[Prompt]:
    order = list(prompts)
    random.Random(EVAL_SEED).shuffle(order)
    return order

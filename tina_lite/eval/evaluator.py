"""The benchmarks of a run, before, during and after training: inside the money, and every figure whole or absent."""

import random
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from tina_lite.budget.limits import OutOfTimeCheck
from tina_lite.data.sources import EVAL_SEED
from tina_lite.eval.samples import Figures
from tina_lite.eval.scoring import ProblemResults, ask, judge
from tina_lite.eval.statistics import Z95
from tina_lite.recipe.schema import EvalSection
from tina_lite.rollout.sampler import Sampler
from tina_lite.runs.events import Evaluated
from tina_lite.runs.session import Session
from tina_lite.util.records import EvalResult, Prompt
from tina_lite.util.stateful import adapter
from tina_lite.util.wall_clock import OutOfTime

LEAST_PROBLEMS = 8
"""Asked first, to forecast the rest by."""
FIRST_SHARE = 0.05
"""Of the problems that are asked first, where that is more."""
FORECAST_CAUTION = 1.1

Results = dict[str, dict[str, EvalResult]]
"""By "before" and "after", results by benchmark."""


class Evaluator:
    """Asks each benchmark, and keeps the figures of before and after, which are of the same problems."""

    def __init__(
        self,
        session: Session,
        sampler: Sampler,
        benchmarks: Mapping[str, Sequence[Prompt]],
        settings: EvalSection,
        patience: int | None = None,
        kept: Figures | None = None,
    ) -> None:
        """`patience`: evaluations in a row without a gain, after which the run is to end; `kept`: what was measured."""
        # A cut takes the first ones, so they are in no order that means something.
        self._benchmarks = {name: _shuffled(prompts) for name, prompts in benchmarks.items()}
        self._session = session
        self._sampler = sampler
        self._settings = settings
        self._patience = patience
        self._kept = kept or Figures()
        self._deadlines, self._meter = session.deadlines, session.meter
        self.results: Results = {}
        self._step = 0

    def state(self) -> Any:
        """Give the figures of before and after."""
        return adapter(Results).dump_python(self.results, mode="json")

    def load_state(self, state: Any) -> None:
        self.results = adapter(Results).validate_python(state)

    def before(self) -> None:
        """Every benchmark that has no figure yet; one that would take too much of the budget asks fewer problems."""
        share_s = self._deadlines.eval_share_s()
        each_s = None if share_s is None else share_s / max(1, len(self._benchmarks))
        self._measure("before", 0, list(self._benchmarks), lambda name: self._first(name, each_s))

    def is_due(self, step: int) -> bool:
        """Whether a step of the run is followed by an evaluation; the last one is, in any case."""
        every = self._settings.every
        return every is not None and step % every == 0 and step != self._session.rules.limits.max_steps

    def during(self, step: int) -> bool:
        """Where it leaves enough for the last evaluation. Whether the first benchmark was never as good."""
        expected_s, left_s = FORECAST_CAUTION * self._deadlines.timings.eval, self._deadlines.left_s()
        if left_s is not None and expected_s + self._deadlines.reserve_s > left_s:
            self._warn(
                f"no evaluation after step {step}: it may take {expected_s:.0f} s, which the end of the run needs"
            )
            return False
        return self._count(step, lambda name: self._again(name, self._deadlines.reserve_s))

    def recount(self, step: int) -> bool:
        """`during` of a step whose figures are kept but in no checkpoint: who measured them was killed behind it."""
        if self._session.state.evaluated_step == step or not self._kept.of("step", step):
            return False
        return self._count(step, lambda name: None)

    def _count(self, step: int, figure: Callable[[str], EvalResult | None]) -> bool:
        names = self._measured()
        found = self._measure("step", step, names, figure)
        if names and names[0] in found:
            self._count_gain(found[names[0]], self.results["before"][names[0]])
            self._session.state.evaluated_step = step
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
        ends = self._patience is not None and self._session.state.evals_without_gain >= self._patience
        return "eval_patience" if ends else None

    def _is_best(self, found: Mapping[str, EvalResult], step: int) -> bool:
        state, first = self._session.state, next(iter(self._benchmarks), "")
        if first not in found or found[first].pass_at_1 <= state.best_pass_at_1:
            return False
        state.best_pass_at_1, state.best_eval_step = found[first].pass_at_1, step
        return True

    def _count_gain(self, now: EvalResult, before: EvalResult) -> None:
        """A gain is more than one standard error above the level, which is that of before or of the last gain."""
        state = self._session.state
        level = before.pass_at_1 if state.eval_level is None else state.eval_level
        gained = now.pass_at_1 > level + (now.ci95[1] - now.ci95[0]) / 2 / Z95
        state.eval_level = now.pass_at_1 if gained else level
        state.evals_without_gain = 0 if gained else state.evals_without_gain + 1

    def _measure(
        self, when: str, step: int, names: Sequence[str], figure: Callable[[str], EvalResult | None]
    ) -> dict[str, EvalResult]:
        """Figures of `names`, those included that were there already, until a signal comes."""
        self._step, started = step, self._meter.elapsed_s()
        found = {} if when == "step" else self.results.setdefault(when, {})
        kept = self._kept.of(when, step)
        for name in names:
            if name in found:
                continue
            result = kept.get(name) or (None if self._session.stop else figure(name))
            if result is not None:
                if name not in kept:
                    self._kept.keep(when, step, result)
                found[name] = result
                fields = {field: getattr(result, field) for field in EvalResult.__slots__}
                self._session.events.emit(Evaluated(when=when, step=step, **fields))
        if found:
            self._deadlines.timings.eval = max(self._deadlines.timings.eval, self._meter.elapsed_s() - started)
        return found

    def _measured(self) -> list[str]:
        """Benchmarks that have a figure to be compared with."""
        return [name for name in self._benchmarks if name in self.results.get("before", {})]

    def _first(self, name: str, share_s: float | None) -> EvalResult | None:
        """On as many problems as the share pays for, by a forecast from the first of them."""
        prompts = self._benchmarks[name]
        if share_s is None:
            return self._figure(name, self._ask(prompts, self._deadlines.out_of_time(0.0)))
        started = self._meter.elapsed_s()
        few = min(len(prompts), max(LEAST_PROBLEMS, int(FIRST_SHARE * len(prompts))))
        first = self._ask(
            prompts[:few], self._deadlines.out_of_time(self._deadlines.save_reserve_s, share_s), of=len(prompts)
        )
        if first is None:
            self._warn(
                f"no evaluation on {name}: {few} problems take more than {share_s:.0f} s, its share of the budget"
            )
            return None
        spent_s = self._meter.elapsed_s() - started
        count = few + int(max(0.0, share_s - spent_s) / (FORECAST_CAUTION * spent_s / few))
        if count < len(prompts):
            self._warn(
                f"evaluation on {name} asks {count} of its {len(prompts)} problems: more would take longer than "
                f"{share_s:.0f} s, its share of the budget"
            )
        out_of_time = self._deadlines.out_of_time(self._deadlines.save_reserve_s, 2 * share_s)
        rest = self._ask(prompts[few:count], out_of_time, behind=few, of=min(count, len(prompts)))
        return self._figure(name, None if rest is None else first + rest)

    def _again(self, name: str, reserve_s: float) -> EvalResult | None:
        asked = self._benchmarks[name][: self.results["before"][name].problems]
        return self._figure(name, self._ask(asked, self._deadlines.out_of_time(reserve_s)))

    def _figure(self, name: str, asked: ProblemResults | None) -> EvalResult | None:
        if asked is None:
            self._warn(f"no figure on {name}: its problems were not finished in time")
            return None
        if asked.undecided:
            self._warn(
                f"evaluation on {name}: {asked.undecided} completions could not be judged in time, and count as wrong"
            )
        return asked.result(name, self._settings.samples)

    def _ask(
        self, prompts: Sequence[Prompt], out_of_time: OutOfTimeCheck, behind: int = 0, of: int | None = None
    ) -> ProblemResults | None:
        """Sampled and judged, or None where a limit or a signal came first; `behind` were asked before, `of` in all."""
        if not prompts:
            return ProblemResults()
        in_all, done_before = self._settings.samples * (of or len(prompts)), self._settings.samples * behind
        tell = self._session.phases.progress("eval", self._step, "completions")
        with self._session.phases("eval", self._step), suppress(OutOfTime):
            groups = ask(
                self._sampler,
                prompts,
                self._settings.samples,
                out_of_time=out_of_time,
                progress=lambda done, total: tell(done_before + done, in_all),
            )
            if groups is not None:
                with self._session.stop.limited(self._judging_may_take_s()):
                    return judge(groups)
        return None

    def _judging_may_take_s(self) -> float | None:
        left_s = self._deadlines.left_s()
        return None if left_s is None else max(0.0, left_s - self._deadlines.save_reserve_s)

    def _warn(self, text: str) -> None:
        if not self._session.stop:
            self._session.warn(text)


def _shuffled(prompts: Sequence[Prompt]) -> list[Prompt]:
    order = list(prompts)
    random.Random(EVAL_SEED).shuffle(order)
    return order

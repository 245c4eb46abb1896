"""A run's evaluations: forecast, cut to a share of the budget, whole or absent."""

import math
from pathlib import Path
from types import SimpleNamespace

import pytest
from fakes import FakeClock

from tina_lite.budget import Meter, Rate
from tina_lite.budget.limits import EVAL_SHARE, SAVE_RESERVE_S, Limits
from tina_lite.eval.evaluator import FORECAST_CAUTION, LEAST_PROBLEMS, Evaluator
from tina_lite.recipe.schema import EvalSection
from tina_lite.runs.events import Evaluated, EventStream, LogLine
from tina_lite.runs.session import Session, StopRequest
from tina_lite.util.records import Completion, Problem, Prompt

PROBLEMS = 40
ANSWERS = {index: str(index) for index in range(PROBLEMS)}


class TimedSampler:
    """Takes a time for each problem, and is right on the even ones."""

    def __init__(self, clock: FakeClock, problem_s: float) -> None:
        self.clock = clock
        self.problem_s = problem_s
        self.asked: list[list[int]] = []
        self.before_each = lambda: None

    def complete(self, prompts, num_generations, step, *, known, finished, out_of_time, progress):
        missing = [place for place in range(len(prompts)) if (place, 0) not in known]
        self.asked.append([prompts[place].problem.index for place in missing])
        for place in missing:
            self.before_each()
            if out_of_time():
                break
            self.clock.now += self.problem_s
            problem = prompts[place].problem
            text = problem.answer if problem.index % 2 == 0 else "-1"
            for number in range(num_generations):
                finished((place, number), Completion((1, 2), (0.0, 0.0), text, "stop"))


class Exam:
    def __init__(self, folder: Path, worth_s: float | None, problem_s: float, names=("held_out",)) -> None:
        self.clock = FakeClock()
        self.stop = StopRequest()
        meter = Meter.in_memory(Rate(3600.0, "test"), self.clock)
        self.sampler = TimedSampler(self.clock, problem_s)
        self.events = []
        stream = EventStream(meter.elapsed_s, meter.usd)
        stream.subscribe(lambda stamped: self.events.append(stamped.event))
        place = SimpleNamespace(evals=folder / "evals", figures=folder / "figures.jsonl")
        session = Session.begin(place, meter, Limits(max_usd=worth_s), stream, self.stop, 1)
        self.deadlines = session.deadlines
        prompts = [Prompt(Problem(i, f"q{i}", ANSWERS[i], {}), "", (1,)) for i in range(PROBLEMS)]
        self.evaluator = Evaluator(session, self.sampler, dict.fromkeys(names, prompts), EvalSection(samples=2))

    def said(self) -> list[str]:
        return [event.text for event in self.events if isinstance(event, LogLine)]

    def problems(self, when: str) -> int | None:
        result = self.evaluator.results.get(when, {}).get("held_out")
        return None if result is None else result.problems


def test_where_there_is_time_or_no_limit_all_problems_are_asked(tmp_path):
    for worth_s in (None, 1000.0):
        exam = Exam(tmp_path / str(worth_s), worth_s, problem_s=1.0)
        exam.evaluator.before()
        exam.evaluator.after(7)
        assert (exam.problems("before"), exam.problems("after")) == (PROBLEMS, PROBLEMS)
        assert exam.evaluator.results["before"]["held_out"].pass_at_1 == 0.5
        assert exam.said() == []


def test_one_that_would_take_too_much_asks_fewer_and_the_same_ones_again(tmp_path):
    exam = Exam(tmp_path, 200.0, problem_s=1.5)  # 60 s of 200; a share of 29
    exam.evaluator.before()
    share_s = EVAL_SHARE * (200 - SAVE_RESERVE_S)
    assert exam.clock.now <= share_s
    count = LEAST_PROBLEMS + math.floor((share_s - LEAST_PROBLEMS * 1.5) / (1.5 * FORECAST_CAUTION))
    assert exam.problems("before") == count < PROBLEMS
    assert exam.said() == [
        f"evaluation on held_out asks {count} of its {PROBLEMS} problems: more would take longer than 29 s, its share "
        "of the budget"
    ]
    first = [index for asked in exam.sampler.asked for index in asked]
    assert first != sorted(first), "no order that the benchmark came in"
    exam.sampler.asked.clear()
    exam.evaluator.after(3)
    assert exam.sampler.asked == [first]
    assert exam.deadlines.timings.eval == pytest.approx(1.5 * count)


def test_one_whose_first_problems_take_too_much_is_left_out_before_and_after(tmp_path):
    exam = Exam(tmp_path, 100.0, problem_s=5.0)
    exam.evaluator.before()
    exam.evaluator.after(3)
    assert exam.problems("before") is exam.problems("after") is None
    assert exam.clock.now <= EVAL_SHARE * 100
    assert exam.said() == [
        "no evaluation on held_out: 8 problems take more than 14 s, its share of the budget",
    ]
    assert exam.deadlines.timings.eval == 0.0, "nothing is kept back for an evaluation that will not be"


def test_benchmarks_divide_the_share(tmp_path):
    exam = Exam(tmp_path, 200.0, problem_s=1.0, names=("held_out", "aime24"))
    exam.evaluator.before()
    assert {result.problems for result in exam.evaluator.results["before"].values()} == {14}
    assert exam.clock.now <= EVAL_SHARE * 200


def test_what_is_cut_short_is_no_figure(tmp_path):
    """The finished problems are the quick ones."""
    exam = Exam(tmp_path, 200.0, problem_s=0.5)
    exam.evaluator.before()
    exam.clock.now = 190.0
    exam.evaluator.after(3)
    assert exam.problems("before") == PROBLEMS
    assert exam.problems("after") is None
    assert exam.said() == ["no figure on held_out: its problems were not finished in time"]
    assert exam.clock.now <= 200 - SAVE_RESERVE_S


@pytest.mark.parametrize("asked", [0, 1, 7, 8, 39])
def test_a_signal_leaves_no_figure_and_what_is_missing_is_asked(asked, tmp_path):
    exam = Exam(tmp_path, 1000.0, problem_s=1.0)

    def signal_at() -> None:
        if exam.clock.now >= asked:
            exam.stop.signal_number = 15

    exam.sampler.before_each = signal_at
    exam.evaluator.before()
    assert exam.problems("before") is None
    assert not any(isinstance(event, Evaluated) for event in exam.events)
    exam.stop.signal_number, exam.sampler.before_each = None, lambda: None
    exam.evaluator.before()
    assert exam.problems("before") == PROBLEMS
    indices = [index for part in exam.sampler.asked for index in part]
    assert sorted(indices[-(PROBLEMS - asked) :]) == sorted(set(range(PROBLEMS)) - set(indices[:asked]))


def test_one_in_between_does_not_take_what_the_last_needs(tmp_path):
    exam = Exam(tmp_path, 200.0, problem_s=0.5)
    exam.evaluator.before()  # 20 s; 30 are kept for the last
    exam.evaluator.during(10)
    assert [event.when for event in exam.events if isinstance(event, Evaluated)] == ["before", "step"]
    assert "step" not in exam.evaluator.results
    exam.clock.now = 145.0
    exam.sampler.asked.clear()
    exam.evaluator.during(20)
    assert exam.sampler.asked == []
    assert exam.said() == ["no evaluation after step 20: it may take 22 s, which the end of the run needs"]

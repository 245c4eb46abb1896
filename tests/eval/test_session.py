"""An evaluation killed and resumed is one that was never stopped; it keeps its budget; a re-score needs no model."""

import errno
import json
import os
import random
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace

import pytest
from fakes import FakeClock

from tina_lite.budget import Rate
from tina_lite.data.benchmarks import Benchmark, load_benchmark
from tina_lite.eval import manifest
from tina_lite.eval.manifest import SamplingParams
from tina_lite.eval.session import run_evaluation
from tina_lite.policy.model_ref import resolve
from tina_lite.recipe.schema import RolloutSection
from tina_lite.util.errors import BadInput, NoRoom

ASKING = SamplingParams(2, RolloutSection(temperature=1.0, top_p=0.95, max_completion_length=40))
TINY = replace(resolve("builtin:tiny"), compute_dtype="float32")
RATE = Rate(0.20, "--rate")

KILLED = """
import os, signal, sys
from dataclasses import replace
from pathlib import Path
from tina_lite.budget import Rate
from tina_lite.eval import manifest
from tina_lite.eval.session import run_evaluation
from tina_lite.eval.manifest import SamplingParams
from tina_lite.recipe.schema import RolloutSection
from tina_lite.policy.model_ref import resolve
from tina_lite.data.benchmarks import load_benchmark

manifest.MOST_SEQUENCES = 4
seen = set()

def watch(model, benchmark, done, total, usd, speed):
    if done > 20:
        os.kill(os.getpid(), signal.SIGKILL)

run_evaluation(
    [replace(resolve("builtin:tiny"), compute_dtype="float32")],
    [load_benchmark("arithmetic", limit=14)],
    SamplingParams(2, RolloutSection(temperature=1.0, top_p=0.95, max_completion_length=40)),
    folder=Path(sys.argv[1]), rate=Rate(0.20, "--rate"), watch=watch,
)
"""


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    """Four problems a chunk."""
    monkeypatch.setattr(manifest, "MOST_SEQUENCES", 4)


@pytest.fixture
def sums():
    return load_benchmark("arithmetic", limit=14)


def evaluate(folder, *benchmarks, sampling_params=ASKING, targets=(TINY,), **others):
    return run_evaluation(targets, benchmarks, sampling_params, folder=folder, rate=RATE, **others)


def sampling_params(**changes):
    return replace(ASKING, rollout=ASKING.rollout.model_copy(update=changes))


def completions(folder, name="builtin-tiny/arithmetic.jsonl"):
    rows = [json.loads(line) for line in (folder / name).read_text().splitlines()]
    return sorted(({**row, "usd": None} for row in rows), key=lambda row: (row["problem"], row["sample"]))


def figures(report):
    return [replace(result, usd=0.0) for result in report.results]


@pytest.mark.slow
def test_killed_and_resumed_is_the_same_as_never_stopped(tmp_path, sums):
    whole = evaluate(tmp_path / "whole", sums)
    killed = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / "killed")], timeout=300)
    assert killed.returncode == -9
    before = (tmp_path / "killed" / "builtin-tiny" / "arithmetic.jsonl").read_text()
    assert 0 < len(before.splitlines()) < 28
    with (tmp_path / "killed" / "builtin-tiny" / "arithmetic.jsonl").open("a") as file:
        file.write('{"problem": 13, "samp')  # a line that was being written
    resumed = evaluate(tmp_path / "killed", sums)
    after = (tmp_path / "killed" / "builtin-tiny" / "arithmetic.jsonl").read_text()
    assert after.startswith(before), "something was sampled twice"
    assert completions(tmp_path / "killed") == completions(tmp_path / "whole")
    assert figures(resumed) == figures(whole)
    assert resumed.usd > sum(result.usd for result in resumed.results), "loading is on the bill"


@pytest.fixture(scope="module")
def never_stopped(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(manifest, "MOST_SEQUENCES", 4)
        folder = tmp_path_factory.mktemp("whole")
        return folder, figures(evaluate(folder, load_benchmark("arithmetic", limit=14)))


class Died(BaseException):
    """In the place of a process that is killed in a write."""


def stop_at(moment, kind, clock, monkeypatch):
    """While this completion is kept, the first being 1."""
    write, written = os.write, iter(range(1, 100))

    def kept(descriptor, data):
        if b'"completion"' not in bytes(data) or next(written) != moment:
            return write(descriptor, data)
        if kind == "signal":
            os.kill(os.getpid(), signal.SIGTERM)
        if kind == "budget":
            clock.now += 1e6
        if kind in ("signal", "budget"):
            return write(descriptor, data)
        write(descriptor, bytes(data)[: len(data) // 2])
        raise Died if kind == "kill" else OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("tina_lite.util.disk.os.write", kept)


@pytest.mark.parametrize("kind", ["signal", "budget", "kill", "full disk"])
@pytest.mark.parametrize("moment", random.Random(7).sample(range(1, 28), 5))
def test_an_evaluation_that_ends_early_keeps_what_was_paid_for_and_asks_for_the_rest(
    tmp_path, sums, never_stopped, monkeypatch, kind, moment
):
    """Half a group, half a line: at any moment, in any way."""
    whole, reached = never_stopped
    clock = FakeClock(20.0)
    with monkeypatch.context() as patch:
        patch.setattr("tina_lite.eval.session.guard", lambda *_: None)
        stop_at(moment, kind, clock, patch)
        with suppress(Died, NoRoom):
            evaluate(tmp_path, sums, max_usd=1.0, clock=clock)
    kept = completions_of(tmp_path)
    assert len(kept) >= moment - (kind in ("kill", "full disk"))
    report = evaluate(tmp_path, sums)
    assert completions_of(tmp_path)[: len(kept)] == kept, "what was paid for was asked again"
    assert completions(tmp_path) == completions(whole)
    assert (report.stop_reason, figures(report)) == ("finished", reached)


def completions_of(folder):
    """Lines that are whole, as they stand."""
    text = (folder / "builtin-tiny" / "arithmetic.jsonl").read_text()
    return text[: text.rfind("\n") + 1].splitlines()


def test_a_finished_evaluation_is_scored_again_without_a_model(tmp_path, sums, monkeypatch):
    first = evaluate(tmp_path, sums)
    monkeypatch.setattr("tina_lite.eval.session.load_model", lambda target: pytest.fail("a model was loaded"))
    again = evaluate(tmp_path, sums)
    assert again.results == first.results
    assert again.stop_reason == "finished"
    assert json.loads((tmp_path / "results.json").read_text())["results"][0]["problems"] == 14


def test_it_stops_at_its_budget_with_what_was_finished(tmp_path, sums):
    clock = FakeClock(20.0)

    def watch(*_):
        clock.now += 5.0

    report = evaluate(tmp_path, sums, max_usd=60 / 3600 * 0.20, clock=clock, watch=watch)
    (result,) = report.results
    assert report.stop_reason == "max_usd"
    assert 0 < result.problems < result.asked == 14
    assert report.usd <= 60 / 3600 * 0.20
    more = evaluate(tmp_path, sums, max_usd=1.0, clock=FakeClock(20.0))
    assert (more.results[0].problems, more.stop_reason) == (14, "finished")


def test_time_to_judge_is_kept_back_for_what_is_there_and_not_for_what_was_asked_for(tmp_path):
    """2,000 completions would take longer to judge than the budget lasts."""
    clock = FakeClock(20.0)

    def watch(*_):
        clock.now += 1.0

    many = load_benchmark("arithmetic", limit=1000)
    report = evaluate(tmp_path, many, max_usd=36 / 3600 * 0.20, clock=clock, watch=watch)
    assert report.stop_reason == "max_usd"
    assert report.results[0].problems > 0
    assert 36 * 0.8 < report.usd / 0.20 * 3600 <= 36


def test_a_budget_that_pays_for_nothing_is_refused(tmp_path, sums):
    with pytest.raises(NoRoom, match="does not pay for one problem"):
        evaluate(tmp_path, sums, max_usd=1e-5, clock=FakeClock(20.0))


def test_what_was_sampled_otherwise_is_not_mixed(tmp_path, sums):
    evaluate(tmp_path, sums)
    with pytest.raises(BadInput, match=r"holds completions with temperature 1.0, now it is 0.6; choose another --out"):
        evaluate(tmp_path, sums, sampling_params=sampling_params(temperature=0.6))
    other = [replace(problem, question="What is 1+1?") for problem in sums.problems]
    with pytest.raises(BadInput, match="the data has changed"):
        evaluate(tmp_path, Benchmark("arithmetic", other))


def test_more_problems_go_on_from_those_that_are_there(tmp_path, sums):
    evaluate(tmp_path, load_benchmark("arithmetic", limit=8))
    before = completions(tmp_path)
    assert evaluate(tmp_path, sums).results[0].problems == 14
    assert completions(tmp_path)[:16] == before


def test_a_model_against_another_with_the_same_random_numbers(tmp_path, sums):
    twin = replace(TINY, name="twin")
    report = evaluate(tmp_path, sums, targets=(TINY, twin))
    (comparison,) = report.comparisons
    assert (comparison.model, comparison.base) == ("builtin-tiny", "twin")
    assert (comparison.difference, comparison.p) == (0.0, 1.0)
    assert completions(tmp_path) == completions(tmp_path, "twin/arithmetic.jsonl")


def test_prompts_that_do_not_fit_are_left_out_and_counted(tmp_path, sums):
    long = [
        replace(problem, question="1+" * 2000 + "1") if problem.index == 3 else problem for problem in sums.problems
    ]
    report = evaluate(tmp_path, Benchmark("long", long))
    assert (report.results[0].problems, report.results[0].asked, report.results[0].too_long) == (13, 13, 1)
    assert report.stop_reason == "finished"
    with pytest.raises(BadInput, match="reads 256 tokens in all"):
        evaluate(tmp_path / "no", sums, sampling_params=sampling_params(max_completion_length=256))

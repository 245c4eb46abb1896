"""The outcome in one honest sentence, and Markdown that nothing in a run can break."""

import json
from collections.abc import Callable
from pathlib import Path

from made_up_runs import EVIL, evaluated, started, write_lines

from tina_lite.report.page import markdown_text
from tina_lite.report.read import read_run
from tina_lite.report.words import bought, labels, outcome, repeat

Make = Callable[..., Path]


def test_the_outcome_says_what_was_gained_for_which_price(make_run: Make) -> None:
    assert outcome(read_run(make_run())) == (
        "Held-out Pass@1 rose from 30.0% [26.0, 34.0] to 76.0% [72.0, 80.0], +46.0 points, for $0.0200: "
        "40 steps in 3 min 20 s on cpu (2 threads)."
    )


def test_intervals_that_overlap_are_said_to(make_run: Make) -> None:
    folder = make_run()
    write_lines(folder / "events.jsonl", [evaluated("before", 0, 0.50, 0.0), evaluated("after", 40, 0.47, 0.0)])
    assert "fell from" in outcome(read_run(folder))
    assert "-3.0 points (the intervals overlap: it may be chance)" in outcome(read_run(folder))


def test_without_an_evaluation_the_reward_speaks_and_says_so(make_run: Make) -> None:
    said = outcome(read_run(make_run(without=("events.jsonl",))))
    assert said.startswith("The mean reward went from ")
    assert "with no evaluation to judge by, for $0.02" in said


def test_a_run_without_a_step_and_one_that_was_killed(make_run: Make) -> None:
    folder = make_run(without=("summary.json", "metrics.jsonl", "samples.jsonl"))
    write_lines(folder / "events.jsonl", [started()])
    assert outcome(read_run(folder)) == (
        "Nothing was learnt that was measured, for $0.0200: no steps in 3 min 20 s on cpu (2 threads), so far: the run "
        "has not ended, or was killed."
    )


def test_the_turning_point_says_what_it_saved_or_what_going_on_cost(make_run: Make) -> None:
    turned = {"step": 22, "seen_usd": 0.012, "usd_planned": 0.05}
    stopped = read_run(make_run("stopped", turning_point=turned, stop_reason="turning_point"))
    assert bought(stopped)[-1] == ("saved by stopping at the turning point", "$0.0300")
    went_on = read_run(make_run("went-on", turning_point=turned))
    assert bought(went_on)[-1] == ("spent after the turning point was seen", "$0.0080")
    assert bought(read_run(make_run("straight", turning_point=None)))[-1][0] == "completion tokens per dollar"


def test_runs_of_one_name_are_told_apart_by_folder(make_run: Make) -> None:
    runs = [read_run(make_run("a")), read_run(make_run("b"))]
    assert labels(runs) == ["a", "b"]
    for run in runs:
        (run.folder / "summary.json").write_text(json.dumps({"name": "same", "stop_reason": "max_steps"}))
    again = [read_run(run.folder) for run in runs]
    assert [run.name for run in again] == ["same", "same"]
    assert labels(again) == ["a", "b"]
    assert labels([again[0], again[0]]) == ["a (1)", "a (2)"]


def test_the_commands_repeat_the_rate_that_was_given_by_hand(make_run: Make) -> None:
    assert repeat(read_run(make_run())) == "pip install tina-lite==0.1.0\ntina-lite run recipe.yaml --rate 0.36"


def test_markdown_holds_results_money_versions_and_the_recipe(make_run: Make) -> None:
    text = markdown_text([read_run(make_run())])
    assert "| held\\_out | after | 76.0% \\[72.0, 80.0\\] | 200 x 4 |" in text
    assert "| rollout | $0.0100 | 50% |" in text
    assert "| torch | 2.13.0 |" in text
    assert "```yaml\nname: mine\nseed: 7" in text


def test_nothing_in_a_run_can_end_a_cell_or_a_fence(make_run: Make) -> None:
    folder = make_run(evil=f"```\n{EVIL}", name="mine")
    (folder / "summary.json").write_text(json.dumps({"name": "a | <b>\n# x", "stop_reason": "max_steps"}))
    text = markdown_text([read_run(folder)])
    assert "## a \\| \\<b\\> \\# x\n" in text
    assert "````yaml" in text
    assert text.count("````") == 2

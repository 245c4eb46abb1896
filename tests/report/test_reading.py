"""A run folder becomes a record, whatever has become of the folder."""

import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest
from made_up_runs import SUMMARY, evaluated, ledger, metrics, sample, started, write_lines

from tina_lite.report.page import beside_the_paper, html_page
from tina_lite.report.read import pairs, read_run
from tina_lite.runs.events import AlarmOver, AlarmRaised, Stamped
from tina_lite.util.errors import BadInput

Make = Callable[..., Path]
FINISHED = {"at": 1.0, "elapsed_s": 9.0, "usd": 0.01, "summary": {}}


def test_a_finished_run_is_read_whole(make_run: Make) -> None:
    run = read_run(make_run())
    assert (run.name, run.state, run.steps, run.sessions) == ("mine", "finished", 40, 1)
    assert [m.result.pass_at_1 for m in run.evals] == [0.30, 0.76]
    assert run.hours == pytest.approx(200 / 3600)
    assert run.usd == pytest.approx(0.02)
    assert run.spent[-1].usd_by_phase["rollout"] == pytest.approx(100 / 3600 * 0.36)
    assert run.reward_names() == ["accuracy", "format"]
    assert run.turning_point == 22


def test_a_folder_without_a_run_is_refused_with_what_would_do(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"holds no run .* give a run folder"):
        read_run(tmp_path)


def test_a_torn_last_line_and_a_line_of_garbage_are_passed_over(make_run: Make) -> None:
    folder = make_run()
    for name in ("metrics.jsonl", "events.jsonl", "samples.jsonl", "ledger.jsonl"):
        with (folder / name).open("a") as file:
            file.write('{"step": 41, "rew')
    with (folder / "metrics.jsonl").open("a") as file:
        file.write('\nnot json\n[1]\n{"event": "from a later version", "step": "x"}\n')
    run = read_run(folder)
    assert run.steps == 40
    assert len(run.evals) == 2
    assert len(run.spent) == 4


def test_a_killed_run_is_unfinished_and_pays_its_unwritten_heartbeat(make_run: Make) -> None:
    folder = make_run(without=("summary.json",))
    write_lines(folder / "ledger.jsonl", ledger({"load": 10.0}, killed=True))
    run = read_run(folder)
    assert run.state == "unfinished"
    assert run.hours == pytest.approx(15 / 3600)
    assert run.spent[-1].usd_by_phase["other"] == pytest.approx(5 / 3600 * 0.36)


def test_sessions_add_up_and_never_run_backwards(make_run: Make) -> None:
    folder = make_run()
    write_lines(folder / "ledger.jsonl", [*ledger({"load": 10.0}, killed=True), *ledger({"load": 4.0}, session=2)])
    spent = read_run(folder).spent
    assert [moment.hours for moment in spent] == sorted(moment.hours for moment in spent)
    assert [moment.usd for moment in spent] == sorted(moment.usd for moment in spent)
    assert spent[-1].hours == pytest.approx(19 / 3600)


def test_a_run_that_was_taken_up_again_has_no_summary_yet(make_run: Make) -> None:
    folder = make_run()
    write_lines(
        folder / "events.jsonl", [started(), {"event": "run_finished", **FINISHED}, started(resumed_from_step=40)]
    )
    run = read_run(folder)
    assert (run.state, run.sessions) == ("unfinished", 2)


def test_a_run_at_its_end_is_billed_by_its_own_summary_and_not_as_if_it_had_been_killed(make_run: Make) -> None:
    folder = make_run(without=("summary.json",))
    write_lines(
        folder / "events.jsonl", [started(), {"event": "run_finished", **FINISHED}, started(resumed_from_step=40)]
    )
    write_lines(folder / "ledger.jsonl", ledger({"load": 199.0}, killed=True))
    run = read_run(folder, SUMMARY)
    assert run.state == "finished"
    assert run.hours == pytest.approx(200 / 3600)
    assert run.spent[-1].usd_by_phase == SUMMARY["usd_by_phase"]


def test_of_a_step_that_was_done_twice_the_later_one_counts_and_null_is_nan(make_run: Make) -> None:
    folder = make_run()
    again = [metrics(1, reward=0.5), metrics(2, reward=None), metrics(1, reward=0.75), metrics(2, loss=None)]
    write_lines(folder / "metrics.jsonl", again)
    run = read_run(folder)
    assert run.series("reward")[0] == (1, 0.75)
    assert math.isnan(run.metrics[1]["loss"])
    assert run.series("loss") == []


def test_metrics_and_summary_alone_are_enough(make_run: Make) -> None:
    figures = {"benchmark": "held_out", "ci95": [0.2, 0.4], "problems": 200, "samples": 4, "mean_length": 20.0}
    evals = {"before": {**figures, "pass_at_1": 0.3}, "after": {**figures, "pass_at_1": 0.8}}
    folder = make_run(without=("events.jsonl", "ledger.jsonl", "samples.jsonl", "recipe.yaml"), eval=evals)
    run = read_run(folder)
    assert [m.result.when for m in run.evals] == ["before", "after"]
    assert run.usd_by_phase["rollout"] == 0.01
    assert run.pairs == ()


def test_what_tina_lite_eval_left_in_the_folder_is_read_too(make_run: Make) -> None:
    folder = make_run()
    (folder / "eval").mkdir()
    row = {"model": "mine", "benchmark": "aime24", "problems": 30, "samples": 8, "mean_length": 900.0, "usd": 0.5}
    results = [{**row, "pass_at_1": {"value": 0.4, "ci95": [0.25, 0.55]}}, {**row, "pass_at_1": 0.4}, "another shape"]
    (folder / "eval" / "results.json").write_text(json.dumps({"results": results}))
    run = read_run(folder)
    [measured] = run.benchmarks
    assert (measured.result.benchmark, measured.result.pass_at_1, measured.result.ci95) == ("aime24", 0.4, (0.25, 0.55))
    table = beside_the_paper([("mine", run)])
    assert table is not None
    assert table.rows[0][:3] == ("this: mine", "40.00 [25.0, 55.0]", "-")
    assert ("Tina-Open-RS2", "43.33") in {row[:2] for row in table.rows}


def test_samples_pair_the_same_problem_where_it_was_asked_early_and_late(make_run: Make) -> None:
    [pair] = read_run(make_run()).pairs
    assert pair.same_problem
    assert (pair.early.step, pair.late.step) == (1, 38)
    assert pair.early.total == 1  # the middling of 0, 1 and 3
    assert pair.early.group_totals == (0, 1, 3)


def test_else_the_first_steps_stand_beside_the_last(tmp_path: Path) -> None:
    path = tmp_path / "samples.jsonl"
    write_lines(path, [sample(step, problem=step, total=1.0) for step in range(1, 9)])
    assert [(pair.early.step, pair.late.step) for pair in pairs(path)] == [(1, 6), (2, 7), (3, 8)]
    write_lines(path, [sample(1, problem=1, total=1.0)])
    assert pairs(path) == ()
    assert pairs(tmp_path / "missing.jsonl") == ()


def test_a_sample_with_missing_fields_is_no_pair(tmp_path: Path) -> None:
    path = tmp_path / "samples.jsonl"
    path.write_text(json.dumps({"step": 1, "problem": 1}) + "\n" + json.dumps(sample(9, 2, 1.0)) + "\n")
    assert pairs(path) == ()


def test_an_evaluation_of_a_later_version_is_passed_over(make_run: Make) -> None:
    folder = make_run()
    write_lines(
        folder / "events.jsonl", [evaluated("before", 0, 0.3, 0.0), {**evaluated("after", 1, 0.5, 0.0), "new": 1}]
    )
    assert len(read_run(folder).evals) == 1


def test_alarms_are_those_of_the_latest_session_that_are_not_over(make_run: Make) -> None:
    folder = make_run()
    alarms = [AlarmRaised(3, name, "so it is", "something else") for name in ("clipped", "reward_low")]
    said = [Stamped(0.0, 0.0, 0.0, event) for event in (*alarms, AlarmOver(9, "clipped"))]
    with (folder / "events.jsonl").open("a") as file:
        file.writelines(json.dumps(stamped.to_json()) + "\n" for stamped in said)
    assert [alarm.name for alarm in read_run(folder).alarms] == ["reward_low"]
    assert "Try: something else" in html_page([read_run(folder)])

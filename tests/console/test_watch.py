import io
import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from tina_lite.console.watch import GONE, SESSION_GAP_S, Following, Replaying, moments, watch_plain
from tina_lite.runs.events import Progress, Stamped
from tina_lite.runs.folder import RunFolder

Story = Callable[..., list[Stamped]]


def keep(folder: Path, events: Iterable[Stamped]) -> None:
    """As a run keeps them."""
    with (folder / "events.jsonl").open("a") as file:
        for stamped in events:
            if not isinstance(stamped.event, Progress):
                file.write(json.dumps(stamped.to_json()) + "\n")


def test_a_run_is_followed_step_by_step_to_its_end(tmp_path: Path, story: Story) -> None:
    folder = RunFolder.create(tmp_path / "run", "name: run\n")
    events = story()
    seen = Following(folder.path)
    seen.look()
    assert seen.state.started is None
    keep(folder.path, events[:20])
    seen.look()
    done = seen.state.steps_done
    assert done > 1
    assert not seen.over
    keep(folder.path, events[20:])
    seen.look()
    assert seen.state.steps_done == 20
    folder.close()
    seen.look()
    assert seen.over
    assert seen.state.over == "finished"


def test_the_time_of_a_run_that_goes_on_is_the_walls(
    tmp_path: Path, story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = RunFolder.create(tmp_path / "run", "name: run\n")
    keep(folder.path, story(steps=4))
    monkeypatch.setattr("time.time", lambda: 1.7e9 + 35.0)
    seen = Following(folder.path)
    seen.look()
    assert seen.state.elapsed_at(seen.now()) == pytest.approx(35.0)
    assert seen.state.usd_at(seen.now()) == pytest.approx(35.0 * 0.20 / 3600)
    folder.close()


def test_a_killed_run_stands_still_until_it_is_resumed(tmp_path: Path, story: Story) -> None:
    folder = RunFolder.create(tmp_path / "run", "name: run\n")
    keep(folder.path, story(steps=8))
    folder.close()
    seen = Following(folder.path)
    seen.look()
    assert seen.state.gone == GONE
    assert seen.state.usd_at(seen.now()) == pytest.approx(seen.state.usd)
    again = RunFolder.reopen(folder.path)
    again.cut_back({})
    keep(folder.path, story(steps=0, resumed_from_step=5))
    seen.look()
    assert seen.state.gone == ""
    assert seen.state.steps_done == 5
    again.close()


def test_a_killed_run_shows_what_its_ledger_charges(tmp_path: Path, story: Story) -> None:
    keep(tmp_path, story(steps=4))
    start = {"kind": "start", "session": 1, "elapsed_s": 1.0, "rate": 3600.0, "heartbeat_s": 5.0}
    (tmp_path / "ledger.jsonl").write_text(json.dumps(start) + "\n")
    seen = Following(tmp_path)
    for _ in range(2):
        seen.look()
        assert seen.state.usd == pytest.approx(6.0)


def test_a_run_told_again_keeps_its_own_time(tmp_path: Path, story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    keep(tmp_path, story())
    seen = Replaying(tmp_path, speed=10.0)
    seen.look()
    assert seen.state.step == 0
    now[0] = 104.85  # 48.5 s into the telling, which begins at the first second of the run
    seen.look()
    assert seen.state.step == 13
    assert seen.state.usd_at(seen.now()) == pytest.approx(49.5 * 0.20 / 3600)
    now[0] = 200.0
    seen.look()
    assert seen.over
    assert seen.state.over == "finished"


def test_a_run_without_an_end_is_told_to_its_last_event(tmp_path: Path, story: Story) -> None:
    keep(tmp_path, story(steps=4))
    seen = Replaying(tmp_path, speed=1e9, started=0.0)
    seen.look()
    assert seen.over
    assert seen.state.over == "here its events end"


def test_the_night_between_two_sessions_is_not_told(story: Story) -> None:
    night = 8 * 3600.0
    second = [Stamped(s.at + night, s.elapsed_s, s.usd, s.event) for s in story(steps=2, resumed_from_step=4)]
    first = story(steps=4)
    assert list(moments(first + second))[len(first)] == list(moments(first))[-1] + SESSION_GAP_S
    assert list(moments([])) == []


def test_plain_lines_end_with_the_run(tmp_path: Path, story: Story) -> None:
    (tmp_path / "run").mkdir()
    keep(tmp_path / "run", story(steps=4))
    stream = io.StringIO()
    watch_plain(Following(tmp_path / "run"), stream)
    lines = stream.getvalue().splitlines()
    assert lines[0].startswith("0:00:01  tina-lite 0.1.0: quickstart")
    assert lines[-1] == GONE
    assert sum("step" in line and "reward" in line for line in lines) == 4


def test_an_empty_folder_is_nothing_to_watch_and_no_error(tmp_path: Path) -> None:
    stream = io.StringIO()
    watch_plain(Following(tmp_path), stream)
    watch_plain(Replaying(tmp_path, 50.0), stream)
    assert not os.listdir(tmp_path)

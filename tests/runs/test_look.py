import fcntl
import json
import os
from pathlib import Path

import pytest

from tina_lite.runs.events import LogLine, PhaseChanged, Stamped
from tina_lite.runs.folder import RunFolder
from tina_lite.runs.look import EventLog, event_of, events_in, owner_of, records
from tina_lite.util.disk import JsonLines, cut_back

FIRST, SECOND = (Stamped(float(second), 1.0, 0.0, PhaseChanged("rollout", second)) for second in (1, 2))


def told(log: EventLog) -> tuple[bool, list[Stamped]]:
    anew, lines = log.news()
    return anew, [stamped for line in lines for stamped in event_of(line)]


def test_a_log_is_told_as_it_grows(tmp_path: Path) -> None:
    log, file = EventLog(tmp_path / "events.jsonl"), JsonLines(tmp_path / "events.jsonl")
    assert told(log) == (False, [])
    file.append(FIRST.to_json())
    assert told(log) == (False, [FIRST])
    assert told(log) == (False, [])
    file.append(SECOND.to_json())
    assert told(log) == (False, [SECOND])


def test_a_torn_line_is_told_once_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    text = json.dumps(FIRST.to_json()) + "\n"
    path.write_text(text[:20])
    log = EventLog(path)
    assert told(log) == (False, [])
    with path.open("a") as file:
        file.write(text[20:])
    assert told(log) == (False, [FIRST])


def test_a_log_that_was_cut_back_is_told_from_its_start(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    log, file = EventLog(path), JsonLines(path)
    file.append(FIRST.to_json())
    size = file.size()
    file.append(SECOND.to_json())
    log.news()
    cut_back(path, size)
    assert told(log) == (True, [FIRST])


def test_what_is_not_known_or_damaged_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    lines = ["", "[1]", "null", "{", '{"event": "turning_point", "at": 1}', '{"event": "phase"}', "\ud800"]
    path.write_bytes("\n".join([*lines, json.dumps(FIRST.to_json()), ""]).encode("utf-8", "surrogatepass"))
    assert events_in(path) == [FIRST]
    assert [type(record) for record in records(path)] == [dict, dict, dict]


def test_no_folder_is_no_error(tmp_path: Path) -> None:
    assert EventLog(tmp_path / "no" / "events.jsonl").news() == (False, [])
    assert owner_of(tmp_path / "no") is None
    assert list(records(tmp_path / "no.jsonl")) == []


def test_the_owner_of_a_run_is_known_while_it_runs(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path / "run", "name: run\n")
    assert owner_of(folder.path) == os.getpid()
    folder.listener(Stamped(0.0, 0.0, 0.0, LogLine("info", "still ours")))
    folder.close()
    assert owner_of(folder.path) is None


def test_looking_at_a_folder_does_not_keep_a_run_from_starting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A looker holds the lock for a moment; the run waits for that."""
    RunFolder.create(tmp_path / "run", "name: run\n").close()
    looker = os.open(tmp_path / "run" / ".lock", os.O_RDONLY)
    fcntl.flock(looker, fcntl.LOCK_SH)
    monkeypatch.setattr("time.sleep", lambda seconds: fcntl.flock(looker, fcntl.LOCK_UN))
    RunFolder.reopen(tmp_path / "run").close()
    os.close(looker)

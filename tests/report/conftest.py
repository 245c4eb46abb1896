"""A finished run on disk, made up."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from made_up_runs import SUMMARY, evaluated, ledger, metrics, sample, started, write_lines


@pytest.fixture
def make_run(tmp_path: Path) -> Callable[..., Path]:
    """A finished run of 40 steps; `without` leaves files out."""

    def make(name: str = "mine", without: tuple[str, ...] = (), evil: str = "", **summary: Any) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        events = [
            started(name=name),
            evaluated("before", 0, 0.30, 0.001),
            {
                "event": "notice",
                "at": 1.0,
                "elapsed_s": 9.0,
                "usd": 0.01,
                "level": "warning",
                "text": f"rows skipped {evil}",
            },
            evaluated("after", 40, 0.76, 0.019),
        ]
        write_lines(folder / "events.jsonl", events)
        write_lines(folder / "metrics.jsonl", [metrics(step) for step in range(1, 41)])
        groups = [(step, problem) for step, problem in ((1, 5), (2, 6), (20, 9), (38, 5), (40, 8))]
        rows = [
            sample(*group, total, f"work {total} {evil}", f"2+2? {evil}") for group in groups for total in (0, 1, 3)
        ]
        write_lines(folder / "samples.jsonl", rows)
        write_lines(folder / "ledger.jsonl", ledger({"load": 20.0, "rollout": 100.0, "update": 80.0}))
        (folder / "summary.json").write_text(json.dumps({**SUMMARY, "name": name, **summary}))
        (folder / "recipe.yaml").write_text(
            f"name: {name}\nseed: 7\ndata: {{source: arithmetic}}\n# {evil}\n".replace("\x00", "")
        )
        for file in without:
            (folder / file).unlink()
        return folder

    return make

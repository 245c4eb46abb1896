"""The quickstart as a measurement: gain, seconds, dollars and peak memory over seeds, each run a process of its own.

Usage:
    python bench/quickstart.py [SEED ...]        default: 1 2 3

A table goes to stderr, one JSON object to stdout.
"""

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from sides import head, in_time, run, say


def measure(seed: int, out: Path) -> dict[str, Any]:
    """Run the quickstart once under a seed."""
    command = [sys.executable, "-m", "tina_lite.cli.main", "run", "quickstart", "--seed", str(seed), "--out", str(out)]
    started = time.monotonic()
    run([[*command, "--plain"]])
    wall_s = time.monotonic() - started
    summary = json.loads((out / "summary.json").read_text())
    steps = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    before, after = (summary["eval"][when]["pass_at_1"] for when in ("before", "after"))
    return {
        "seed": seed,
        "before": before,
        "after": after,
        "gain": round(after - before, 5),
        "wall_s": round(wall_s, 1),
        "peak_gb": round(max(step["peak_bytes"] for step in steps) / 1e9, 2),
        "usd": round(summary["usd"], 5),
        "stop_reason": summary["stop_reason"],
    }


def show(run: dict[str, Any]) -> None:
    """A row of the table."""
    before, after, gain, usd = f"{run['before']:.3f}", f"{run['after']:.3f}", f"{run['gain']:+.3f}", f"{run['usd']:.4f}"
    say(run["seed"], before, after, gain, run["wall_s"], run["peak_gb"], usd, run["stop_reason"])


def main() -> None:
    runs = []
    head(
        "seed", "Pass@1 before", "after", "gain", "wall clock, s", "peak resident, GB", "dollars at $0.20/h", "ended by"
    )
    with tempfile.TemporaryDirectory() as folder, in_time():
        for seed in map(int, sys.argv[1:] or "123"):
            runs.append(measure(seed, Path(folder) / str(seed)))
            show(runs[-1])
    print(json.dumps({"runs": runs}))


if __name__ == "__main__":
    main()

"""The quickstart as a measurement: gain, seconds, dollars and peak memory over seeds, each run a process of its own.

Usage:
    python bench/quickstart.py [SEED ...]        default: 1 2 3

A table goes to stderr, one JSON object to stdout.
"""

import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

RECIPE = Path(__file__).parent.parent / "recipes" / "quickstart.yaml"


def measure(seed: int, folder: Path) -> dict[str, Any]:
    """Run the quickstart once under a seed."""
    out = folder / f"seed-{seed}"
    command = [sys.executable, "-m", "tina_lite.cli.main", "run", str(RECIPE), "--seed", str(seed), "--out", str(out)]
    started = time.monotonic()
    process = subprocess.Popen([*command, "--plain"], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    wall_s = time.monotonic() - started
    summary = json.loads((out / "summary.json").read_text())
    before, after = (summary["eval"][when]["pass_at_1"] for when in ("before", "after"))
    return {
        "seed": seed,
        "exit_code": os.waitstatus_to_exitcode(status),
        "before": before,
        "after": after,
        "gain": round(after - before, 5),
        "wall_s": round(wall_s, 1),
        "peak_gb": round(usage.ru_maxrss * 1024 / 1e9, 3),
        "usd": round(summary["usd"], 5),
        "stop_reason": summary["stop_reason"],
    }


def main() -> None:
    seeds = [int(word) for word in sys.argv[1:]] or [1, 2, 3]
    with tempfile.TemporaryDirectory() as folder:
        runs = [measure(seed, Path(folder)) for seed in seeds]
    for run in runs:
        print("  ".join(f"{name} {value}" for name, value in run.items()), file=sys.stderr)
    print(json.dumps({"cpu": platform.processor() or platform.machine(), "cores": os.cpu_count(), "runs": runs}))


if __name__ == "__main__":
    main()

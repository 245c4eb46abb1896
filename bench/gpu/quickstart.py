"""The quickstart as a user would run it: gain, seconds, dollars, peak memory.

Usage:
    python quickstart.py ENGINE SEED
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RECIPE = Path(__file__).parents[2] / "recipes" / "quickstart.yaml"
REHEARSAL = ("stop.max_steps=2", "rollout.prompts_per_step=2", "eval.problems=4", "budget.max_usd=1.0")


def main() -> None:
    engine, seed = sys.argv[1:3]
    settings = [f"model.engine={engine}", *(REHEARSAL if "--rehearse" in sys.argv else ())]
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        command = [sys.executable, "-m", "tina_lite.cli.main", "run", str(RECIPE), "--seed", seed, "--out", str(out)]
        command += ["--plain", *(word for setting in settings for word in ("--set", setting))]
        started = time.monotonic()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env={**os.environ, "PYTHONWARNINGS": "ignore"})
        seconds = time.monotonic() - started
        summary = json.loads((out / "summary.json").read_text())
        peaks = [json.loads(line)["peak_bytes"] for line in (out / "metrics.jsonl").read_text().splitlines()]
    before, after = (summary["eval"][when]["pass_at_1"] for when in ("before", "after"))
    result = {
        "engine": engine,
        "seed": int(seed),
        "before": before,
        "after": after,
        "gain": round(after - before, 5),
        "wall_s": round(seconds, 1),
        "usd": round(summary["usd"], 5),
        "peak_gib": round(max(peaks) / 1024**3, 3),
        "stop_reason": summary["stop_reason"],
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()

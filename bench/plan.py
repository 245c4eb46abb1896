"""What `tina-lite plan` says before a run against what the run then takes: peak memory, seconds a step.

Usage:
    python bench/plan.py [MODEL_FOLDER [GSM8K.jsonl]]

The quickstart; with a folder of SmolLM2-135M, smollm2-cpu too, and with GSM8K gsm8k-cpu. Each in an empty folder, so
that no earlier run corrects the plan. A table goes to stderr, one JSON object to stdout.
"""

import json
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

from sides import head, in_time, run, say

STEPS = {"quickstart": 20, "smollm2-cpu": 20, "gsm8k-cpu": 6}
GIB = 1024**3


def forecast_and_measured(recipe: str, *flags: str) -> dict[str, Any]:
    """One recipe planned, then run for a few steps without an evaluation."""
    shared = [recipe, *flags, "--set", "eval.benchmarks=[]", "--max-steps", str(STEPS[recipe])]
    with tempfile.TemporaryDirectory() as folder:
        plan = json.loads(tina_lite(folder, "plan", *shared, "--json"))
        tina_lite(folder, "run", *shared, "--plain", "--out", "out")
        steps = [json.loads(line) for line in (Path(folder) / "out" / "metrics.jsonl").read_text().splitlines()]
    measured_s = median(step["step_time"] for step in steps[1:])  # the first step warms up
    measured_gib = max(step["peak_bytes"] for step in steps) / GIB
    forecast_s, forecast_gib = plan["seconds_per_step"], plan["vram_gib"]["peak"]
    return {
        "forecast": {"seconds_per_step": round(forecast_s, 3), "peak_gib": round(forecast_gib, 3)},
        "measured": {"seconds_per_step": round(measured_s, 3), "peak_gib": round(measured_gib, 3)},
        "ratio": {"seconds_per_step": round(forecast_s / measured_s, 3), "peak": round(forecast_gib / measured_gib, 3)},
    }


def tina_lite(folder: str, *arguments: str) -> str:
    command = [sys.executable, "-m", "tina_lite.cli.main", *arguments]
    (out,) = run([command], cwd=folder)
    return out


def main() -> None:
    wanted: dict[str, list[str]] = {"quickstart": []}
    paths = [str(Path(argument).resolve()) for argument in sys.argv[1:]]
    if paths:
        wanted["smollm2-cpu"] = ["--model", paths[0]]
    if len(paths) > 1:
        data = ("--set", f"data.source={paths[1]}", "--set", "data.config=null")
        wanted["gsm8k-cpu"] = ["--model", paths[0], *data]
    results = {}
    head("recipe", "a step: forecast, s", "measured", "ratio", "peak: forecast, GiB", "measured", "ratio")
    with in_time():
        for name, flags in wanted.items():
            result = results[name] = forecast_and_measured(name, *flags)
            cells = [(result[of][what]) for what in ("seconds_per_step", "peak_gib") for of in ("forecast", "measured")]
            ratio = result["ratio"]
            say(name, *cells[:2], ratio["seconds_per_step"], *cells[2:], ratio["peak"])
    print(json.dumps(results))


if __name__ == "__main__":
    main()

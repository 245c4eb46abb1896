"""Peak resident memory of a full step by phase, and TRL's beside it.

Usage:
    python bench/memory.py PEER_PYTHON MODEL_FOLDER GSM8K.jsonl

The step is the *full* one of `bench/step.py`. TRL's peak is that of its whole process, at its faster dtype. A table
goes to stderr, one JSON object to stdout.
"""

import json
import sys
from typing import Any

from peer import DTYPES, NAME, dtypes_worth_measuring, step
from sides import Run, head, in_time, measure, say


def main() -> None:
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    peer, model, data = sys.argv[1:]
    result: dict[str, Any] = {"ratio": {}}
    trl: list[Run] = []

    def measure_trl(dtype: str) -> Run:
        run = step(peer, model, data, dtype, "full")
        say(NAME, dtype, "all", f"{run['peak_bytes'] / 1e9:.2f}")
        trl.append(run)
        return run

    head("trainer", "dtype", "phase", "peak resident, GB", "forecast, GB")
    with in_time():
        ours = result["ours"] = measure(sys.executable, "memory_ours.py", model, data)
        for phase, peak in ours["peak_bytes"].items():
            forecast = ours["forecast_bytes"].get(phase)
            say("tina-lite", ours["dtype"], phase, f"{peak / 1e9:.2f}", f"{forecast / 1e9:.2f}" if forecast else "")
        first = measure_trl(DTYPES[0])
        kept, dropped = dtypes_worth_measuring(peer, model, data, first)
        for dtype, why in dropped.items():
            say(NAME, dtype, f"{why}, not measured further", "", "")
        for dtype in kept:
            if dtype != DTYPES[0]:
                measure_trl(dtype)
    if trl:
        faster = min(trl, key=lambda run: run["seconds"][1])
        result["ratio"]["memory"] = round(max(result["ours"]["peak_bytes"].values()) / faster["peak_bytes"], 3)
    print(json.dumps({**result, "trl": trl}))


if __name__ == "__main__":
    main()

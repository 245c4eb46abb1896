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
from sides import head, in_time, measure, say


def main() -> None:
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    peer, model, data = sys.argv[1:]
    result: dict[str, Any] = {"ratio": {}}
    head("trainer", "dtype", "phase", "peak resident, GB")
    with in_time():
        ours = result["ours"] = measure(sys.executable, "memory_ours.py", model, data)
        for phase, peak in ours["peak_bytes"].items():
            say("tina-lite", ours["dtype"], phase, f"{peak / 1e9:.2f}")
        result["trl"] = []
        waiting = [DTYPES[0]]
        while waiting:
            dtype = waiting.pop()
            trl = step(peer, model, data, dtype, "full")
            say(NAME, dtype, "all", f"{trl['peak_bytes'] / 1e9:.2f}")
            result["trl"].append(trl)
            if dtype == DTYPES[0]:
                kept, dropped = dtypes_worth_measuring(peer, model, data, trl)
                waiting = [other for other in kept if other != dtype]
                for name, why in dropped.items():
                    say(NAME, name, f"{why}, not measured further", "")
            faster = min(result["trl"], key=lambda run: run["seconds"][1])
            result["ratio"]["memory"] = round(max(ours["peak_bytes"].values()) / faster["peak_bytes"], 3)
    print(json.dumps(result))


if __name__ == "__main__":
    main()

"""Peak resident memory of a full step by phase, and TRL's beside it.

Usage:
    python bench/memory.py PEER_PYTHON MODEL_FOLDER GSM8K.jsonl

The step is the *full* one of `bench/step.py`. TRL's peak is that of its whole process, at its faster dtype. A table
goes to stderr, one JSON object to stdout.
"""

import json
import sys
from statistics import median

from sides import measure, say


def main() -> None:
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    peer, model, data = sys.argv[1:]
    ours = measure(sys.executable, "memory_ours.py", model, data)
    trl = [measure(peer, "step_trl.py", model, data, "full", dtype) for dtype in ("float32", "bfloat16")]
    faster = min(trl, key=lambda run: median(run["seconds"][1:]))
    say("trainer", "dtype", "phase", "peak resident, GB")
    say(*["---"] * 4)
    for phase, peak in ours["peak_bytes"].items():
        say("tina-lite", ours["dtype"], phase, f"{peak / 1e9:.2f}")
    say("TRL", faster["dtype"], "all", f"{faster['peak_bytes'] / 1e9:.2f}")
    ratio = max(ours["peak_bytes"].values()) / faster["peak_bytes"]
    print(json.dumps({"ratio": {"memory": round(ratio, 3)}, "ours": ours, "trl": trl}))


if __name__ == "__main__":
    main()

"""Ledgers as sessions leave them."""

import json
from pathlib import Path


def ledger(path: Path, *sessions: tuple[float, float]) -> Path:
    """Sessions from and to."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = []
    for number, (begin, end) in enumerate(sessions, start=1):
        common = {"session": number, "elapsed_s": 0.5}
        lines += [
            {"kind": "start", "at": begin + 0.5, "rate": 0.2, "unit_s": 0.0, "heartbeat_s": 5.0, **common},
            {"kind": "end", "at": end, **common, "seconds_by_phase": {"load": end - begin}},
        ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path

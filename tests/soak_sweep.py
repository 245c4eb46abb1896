"""Sweeps of which a part is killed with SIGKILL at a random moment: the same adapters, and one bill.

Usage:
    python tests/soak_sweep.py [KILLS] [SEED]        default: 3 of each part (trial, worker, driver), seed 1

Each is compared with a sweep that nothing happened to. One line a sweep goes to stderr, one JSON object to stdout; the
exit code is 1 if one differs.
"""

import json
import random
import signal
import sys
import tempfile
import time
from pathlib import Path

from sweeps import RATE, Part, adapters, begun, part_of, record, until, written

SETTINGS = "seeds: [1, 2]"
BILL_OFF = 0.1
"""By how much a bill may differ from the stopwatch: a session that was killed is charged up to its next beat."""


def straight(folder: Path) -> tuple[dict[str, str], float]:
    """Adapters and seconds of a sweep that is left alone."""
    began = time.monotonic()
    if begun(written(folder, SETTINGS), folder / "out").wait(600):
        sys.exit((folder / "out.log").read_text())
    return adapters(folder / "out"), time.monotonic() - began


def killed(folder: Path, part: Part, after_s: float, expected: dict[str, str]) -> list[str]:
    """Kill a part of a sweep so long after it began, go on where need be; what is wrong then."""
    folder.mkdir()
    path, out = written(folder, SETTINGS), folder / "out"
    began = time.monotonic()
    driver = begun(path, out)
    until(lambda: (out / "ledger.jsonl").exists())
    time.sleep(after_s)
    victim = part_of(driver.pid, part) if driver.poll() is None else None
    if victim:
        victim.send_signal(signal.SIGKILL)
    if part == "driver" and driver.wait(60):
        driver = begun(path, out, "--resume")
    if code := driver.wait(600):
        return [f"exit code {code}: {out.with_suffix('.log').read_text()[-500:]}"]
    stopwatch, usd = (time.monotonic() - began) / 3600 * RATE, record(out)["usd"]
    faults = [] if adapters(out) == expected else ["adapters differ"]
    if abs(usd - stopwatch) > BILL_OFF * stopwatch:
        faults.append(f"${usd:.5f} on the bill, ${stopwatch:.5f} by the stopwatch")
    said = "; ".join(faults) or f"ok, ${usd:.5f} of ${stopwatch:.5f} by the stopwatch"
    print(
        f"{part} killed after {after_s:.1f} s{'' if victim else ' (none there)'}: {said}", file=sys.stderr, flush=True
    )
    return faults


def main() -> None:
    kills, seed = (int(value) for value in (*sys.argv[1:], *("3", "1")[len(sys.argv) - 1 :]))
    dice = random.Random(seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        expected, seconds = straight(folder)
        found = {
            f"{part} {number}": killed(folder / f"{part}-{number}", part, dice.uniform(0, 0.8 * seconds), expected)
            for number in range(kills)
            for part in ("trial", "worker", "driver")
        }
    bad = {name: faults for name, faults in found.items() if faults}
    print(json.dumps({"sweeps": len(found), "faults": len(bad), "found": bad}))
    sys.exit(bool(bad))


if __name__ == "__main__":
    main()

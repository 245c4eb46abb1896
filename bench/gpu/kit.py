"""What `bench/gpu.sh` runs: its parts in turn, each measurement in a process of its own, results as JSON and a table.

A part is done within its nine minutes: a measurement that is still under way then is ended, what it had printed by then
counts, and what was not begun is said to be missing.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PART_S = 520.0
"""Seconds of a part; nine minutes, less what starting and writing take."""
CAPS_GB = (8, 12, 24)
SEEDS = (1, 2, 3)

Result = dict[str, Any]


@dataclass
class Kit:
    """Where measurements run, and until when."""

    rehearse: bool
    folder: Path
    """In which measurements run; it holds the model that they share, and goes when the kit is done."""
    engines: tuple[str, ...]
    started: float = field(default_factory=time.monotonic)
    """Of the part under way."""

    def child(self, script: Path, *arguments: object) -> list[Result]:
        """Every line of JSON that a script prints; the last one says so where it failed or had no time."""
        left_s = PART_S - (time.monotonic() - self.started)
        if left_s <= 0:
            return [{"missing": "no time was left"}]
        sizes = ["--rehearse"] if self.rehearse else []
        command = [sys.executable, str(script), *map(str, arguments), *sizes]
        variables = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{HERE.parent}", "HF_HUB_OFFLINE": "1"}
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=variables, cwd=self.folder,
            start_new_session=True,
        ) as process:  # fmt: skip
            try:
                said, errors = process.communicate(timeout=left_s)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)  # it may have children of its own
                said, errors = process.communicate()
                return [*_json_lines(said), {"missing": "it was ended when the part's time was up"}]
        failed = [{"failed": errors.strip()[-600:]}] if process.returncode else []
        return _json_lines(said) + failed


def _json_lines(text: str) -> list[Result]:
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


def tests(kit: Kit) -> list[Result]:
    """The tests marked gpu; in a rehearsal they are only collected."""
    return kit.child(HERE / "marked.py")


def parity(kit: Kit) -> list[Result]:
    return kit.child(HERE / "parity.py", kit.folder / "parity", *kit.engines)


def quickstart(kit: Kit) -> list[Result]:
    """Three seeds with the first engine, one with the other."""
    runs = [(kit.engines[0], seed) for seed in SEEDS[: 1 if kit.rehearse else None]]
    runs += [(engine, SEEDS[0]) for engine in kit.engines[1:]]
    return [line for engine, seed in runs for line in kit.child(HERE / "quickstart.py", engine, seed)]


def rollout(kit: Kit) -> list[Result]:
    sides = (*kit.engines, "generate-nf4", "generate-16bit")
    return [line for side in sides for line in kit.child(HERE / "rollout.py", side)]


def steps(engine: str) -> Callable[[Kit], list[Result]]:
    """A step under each cap, and what `tina-lite plan` says of it."""

    def measure(kit: Kit) -> list[Result]:
        if engine not in kit.engines:
            return [{"missing": f"{engine} is not installed"}]
        caps = CAPS_GB[: 1 if kit.rehearse else None]
        return [line for cap in caps for line in kit.child(HERE / "step.py", engine, cap)]

    return measure


PARTS: dict[str, dict[str, Callable[[Kit], list[Result]]]] = {
    "part1": {"tests": tests, "parity": parity, "quickstart": quickstart},
    "part2": {"rollout": rollout},
    "part3": {"step": steps("portable")},
    "part4": {"step": steps("unsloth")},
}


def table(lines: Sequence[Result]) -> list[str]:
    """Lines of JSON with the same fields as one table of Markdown; a result that is missing as a sentence."""
    rows, out = [line for line in lines if not {"missing", "failed"} & line.keys()], []
    fields: list[str] = []
    for row in rows:
        if list(row) != fields:
            fields = list(row)
            out += ["", f"| {' | '.join(fields)} |", "|" + " --- |" * len(fields)]
        out.append("| " + " | ".join(_cell(value) for value in row.values()) + " |")
    out += [f"\n{name}: {line[name]}" for line in lines for name in ("missing", "failed") if name in line]
    return out


def _cell(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def run_part(part: str, kit: Kit, machine: Result) -> Result:
    """All measurements of a part."""
    results = {title: measure(kit) for title, measure in PARTS[part].items()}
    seconds = round(time.monotonic() - kit.started)
    return {"part": part, "date": str(date.today()), **machine, "seconds": seconds, "results": results}


def as_text(report: Result) -> str:
    """A part's report in Markdown."""
    lines = [f"# {report['part']}: {report['card'] or 'cpu, a rehearsal'}, {report['date']}, {report['seconds']} s"]
    for title, results in report["results"].items():
        lines += ["", f"## {title}", *table(results)]
    return "\n".join(lines) + "\n"


def main() -> None:
    words = sys.argv[1:]
    rehearse = "--rehearse" in words
    chosen = [word for word in words if word != "--rehearse"] or list(PARTS)
    if unknown := set(chosen) - PARTS.keys():
        sys.exit(f"no such part: {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    machine = json.loads(
        subprocess.run([sys.executable, str(HERE / "machine.py")], capture_output=True, text=True, check=True).stdout
    )
    if not rehearse and machine["card"] is None:
        print(json.dumps({**machine, "missing": "no CUDA card: nothing was measured; --rehearse tries it on the CPU"}))
        sys.exit(3)
    name = "rehearsal" if rehearse else machine["card"].replace(" ", "-")
    out = Path(os.environ.get("OUT") or ROOT / "bench" / "results").absolute()
    out.mkdir(parents=True, exist_ok=True)
    engines = ("portable", "unsloth") if machine["unsloth"] else ("portable",)
    failed = False
    with tempfile.TemporaryDirectory() as folder:
        for part in chosen:
            kit = Kit(rehearse, Path(folder), engines)
            report = run_part(part, kit, machine)
            failed |= any("failed" in line for lines in report["results"].values() for line in lines)
            text = as_text(report)
            (out / f"gpu-{name}-{part}.json").write_text(json.dumps(report, indent=1) + "\n")
            (out / f"gpu-{name}-{part}.md").write_text(text)
            print(text, file=sys.stderr, flush=True)
            print(json.dumps(report), flush=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()

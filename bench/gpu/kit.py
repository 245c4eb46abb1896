"""What `bench/gpu.sh` runs: its parts in turn, each measurement in a process of its own, results as JSON and a table.

A part is done within three minutes: a measurement that is still under way then is ended, what it had printed by then
counts, and what was not begun is said to be missing.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from sides import begin, end

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PART_S = 170.0
"""Seconds of a part; three minutes, less what starting and writing take."""
CAPS_GB = (8, 12, 6, 16, 24)
"""Those that most cards have first, should time run out."""
NO_CARD = 2
"""Exit status where there is no card to measure."""

Result = dict[str, Any]


@dataclass
class Kit:
    """Where measurements run, and until when."""

    rehearse: bool
    folder: Path
    """In which measurements run; it holds the model that they share, and goes when the kit is done."""
    machine: Result
    """What env.py says."""
    started: float = field(default_factory=time.monotonic)
    """Of the part under way."""

    @property
    def engines(self) -> tuple[str, ...]:
        return ("native", "unsloth") if self.machine["unsloth"] else ("native",)

    def child(self, script: str, *arguments: object) -> list[Result]:
        """Every line of JSON that a script prints; the last one says so where it failed or had no time."""
        left_s = PART_S - (time.monotonic() - self.started)
        if left_s <= 0:
            return [{"missing": f"{_name(script, arguments)}: no time was left"}]
        command = [sys.executable, str(HERE / script), *map(str, arguments), *(["--rehearse"] if self.rehearse else [])]
        process = begin(command, str(self.folder), {"PYTHONPATH": os.environ["PYTHONPATH"]})
        try:
            said, errors = process.communicate(timeout=left_s)
        except subprocess.TimeoutExpired:
            said, _ = end(process)
            return [*_json_lines(said), {"missing": f"{_name(script, arguments)}: ended when the part's time was up"}]
        failed = [{"failed": f"{_name(script, arguments)}: {errors.strip()[-600:]}"}] if process.returncode else []
        return _json_lines(said) + failed


def _name(script: str, arguments: Sequence[object]) -> str:
    return " ".join([script, *(str(word) for word in arguments if not isinstance(word, Path))])


def _json_lines(text: str) -> list[Result]:
    return [json.loads(line) for line in text.splitlines() if line.startswith('{"')]  # trainers print dicts too


def env(kit: Kit) -> list[Result]:
    return [{"what": name, "value": value} for name, value in kit.machine.items()]


def tests(kit: Kit) -> list[Result]:
    """The tests marked gpu, which a rehearsal only collects, and the engines side by side."""
    return [*kit.child("marked.py"), *kit.child("parity.py", kit.folder / "parity", *kit.engines)]


def quickstart(kit: Kit) -> list[Result]:
    return [line for engine in kit.engines for line in kit.child("quickstart.py", engine, 1)]


def rollout(kit: Kit) -> list[Result]:
    sides = (*kit.engines, "generate-nf4", "generate-16bit")
    return [line for side in sides for line in kit.child("rollout.py", side)]


def decode(kit: Kit) -> list[Result]:
    return kit.child("decode.py")


def step(kit: Kit) -> list[Result]:
    sides = (*kit.engines, *(["trl"] if kit.machine["trl"] else []))
    lines = [line for side in sides for line in kit.child("step_trl.py" if side == "trl" else "step.py", side)]
    return lines if kit.machine["trl"] else [*lines, {"missing": "trl is not installed: nothing to compare with"}]


def memory(kit: Kit) -> list[Result]:
    caps = CAPS_GB[: 1 if kit.rehearse else None]
    return [line for cap in caps for engine in kit.engines for line in kit.child("memory.py", engine, cap)]


PARTS: dict[str, Callable[[Kit], list[Result]]] = {
    "env": env,
    "tests": tests,
    "quickstart": quickstart,
    "rollout": rollout,
    "decode": decode,
    "step": step,
    "memory": memory,
}


def table(lines: Sequence[Result]) -> list[str]:
    """Lines of JSON with the same fields as one table of Markdown; a result that is missing as a sentence."""
    rows = [line for line in lines if line.keys() - {"missing", "failed"}]
    out: list[str] = []
    fields: list[str] = []
    for row in rows:
        if list(row) != fields:
            fields = list(row)
            out += ["", f"| {' | '.join(fields)} |", "|" + " --- |" * len(fields)]
        out.append("| " + " | ".join(_cell(value) for value in row.values()) + " |")
    said = [line for line in lines if not line.keys() - {"missing", "failed"}]
    return out + [f"\n{name}: {text}" for line in said for name, text in line.items()]


def _cell(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def run_part(part: str, kit: Kit) -> Result:
    """All measurements of a part."""
    kit.started = time.monotonic()
    results = PARTS[part](kit)
    seconds = round(time.monotonic() - kit.started)
    return {"part": part, "date": str(date.today()), "machine": kit.machine, "seconds": seconds, "results": results}


def as_text(report: Result) -> str:
    """A part's report in Markdown."""
    machine = report["machine"]
    versions = ", ".join(f"{name} {machine[name]}" for name in ("torch", "transformers", "bitsandbytes", "unsloth"))
    card = f"{machine['card']}, driver {machine['driver']}" if machine["card"] else "cpu, a rehearsal"
    head = [f"# {report['part']}: {card}, {report['date']}, {report['seconds']} s", "", versions]
    return "\n".join([*head, *table(report["results"])]) + "\n"


def chosen_parts(words: Sequence[str]) -> list[str]:
    chosen = [word for word in words if word != "--rehearse"] or list(PARTS)
    if unknown := [word for word in chosen if word not in PARTS]:
        sys.exit(f"no such part: {', '.join(unknown)}; there are {', '.join(PARTS)}")
    return chosen


def main() -> None:
    rehearse, chosen = "--rehearse" in sys.argv, chosen_parts(sys.argv[1:])
    found = subprocess.run([sys.executable, str(HERE / "env.py")], capture_output=True, text=True, check=False)
    if found.returncode:
        sys.exit(f"the machine cannot be asked: {found.stderr.strip().rpartition(chr(10))[2]}")
    machine = json.loads(found.stdout.splitlines()[-1])
    if not rehearse and machine["card"] is None:
        print("no CUDA card that torch can use: nothing was measured; --rehearse tries it on the CPU", file=sys.stderr)
        sys.exit(NO_CARD)
    name = "rehearsal" if rehearse else machine["card"].replace(" ", "-")
    out = Path(os.environ.get("OUT") or ROOT / "bench" / "results" / "gpu").absolute()
    out.mkdir(parents=True, exist_ok=True)
    failed = False
    with tempfile.TemporaryDirectory() as folder:
        for part in chosen:
            report = run_part(part, Kit(rehearse, Path(folder), machine))
            failed |= any("failed" in line for line in report["results"])
            text = as_text(report)
            (out / f"{name}-{part}.json").write_text(json.dumps(report, indent=1) + "\n")
            (out / f"{name}-{part}.md").write_text(text)
            print(text, file=sys.stderr, flush=True)
            print(json.dumps(report), flush=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()

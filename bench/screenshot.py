"""A picture of the live view in the middle of a recorded run, for the README.

Usage:
    python bench/screenshot.py RUN_FOLDER OUT.svg [--at 0.6] [--width 120] [--height 34]
"""

import argparse
import io
import json
import re
from pathlib import Path

from rich.console import Console

from tina_lite.console.live import draw
from tina_lite.console.state import ConsoleState, after
from tina_lite.runs.events import PhaseChanged, Stamped, StepDone, from_json


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run_folder", type=Path)
    parser.add_argument("out", type=Path, metavar="OUT.svg")
    parser.add_argument("--at", type=float, default=0.6, help="how far the run is, from 0 to 1 (default 0.6)")
    parser.add_argument("--width", type=int, default=120)
    parser.add_argument("--height", type=int, default=34)
    args = parser.parse_args()
    lines = (args.run_folder / "events.jsonl").read_text(encoding="utf-8").splitlines()
    events = [from_json(json.loads(line)) for line in lines]
    args.out.write_text(picture(until(events, args.at), args.width, args.height), encoding="utf-8")


def until(events: list[Stamped], share: float) -> list[Stamped]:
    """The events up to the middle of a step: to its last change of phase before the step is done."""
    steps = sum(isinstance(stamped.event, StepDone) for stamped in events)
    wanted = max(1, round(share * steps))
    seen = 0
    for index, stamped in enumerate(events):
        seen += isinstance(stamped.event, StepDone)
        if seen >= wanted and isinstance(stamped.event, PhaseChanged) and stamped.event.phase == "update":
            return events[: index + 1]
    return events


def picture(events: list[Stamped], width: int, height: int) -> str:
    """The live view after these events as SVG."""
    state = ConsoleState()
    for stamped in events:
        state = after(state, stamped, now=stamped.elapsed_s)
    console = Console(file=io.StringIO(), record=True, force_terminal=True, width=width, height=height, highlight=False)
    console.print(draw(state, width, height, now=state.seen_at))
    svg = console.export_svg(title="tina-lite run")
    return re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)  # Rich would have a server send its font


if __name__ == "__main__":
    main()

"""What the live view costs: a recorded run is told to it in its own time, two redraws a second.

Usage:
    python bench/console.py RUN_FOLDER [--steps N]

Time is the drawing thread's own processor time, so that a busy machine does not count. `--steps` repeats the recorded
steps until there are so many: a long run has long curves.
"""

import argparse
import io
import json
import os
import time
from dataclasses import replace
from pathlib import Path
from statistics import median

from tina_lite.console.live import REDRAW_S, draw
from tina_lite.console.screen import Screen
from tina_lite.console.state import ConsoleState, after
from tina_lite.runs.events import RunFinished, Stamped, StepDone
from tina_lite.runs.look import events_in

SIZES = ((80, 24), (120, 34), (200, 50))


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run_folder", type=Path)
    parser.add_argument("--steps", type=int, help="lengthen the run to so many steps")
    args = parser.parse_args()
    events = events_in(args.run_folder / "events.jsonl")
    if args.steps:
        events = lengthened(events, args.steps)
    results = [cost(events, width, height) for width, height in SIZES]
    print(
        f"{'size':>8} {'share of a core':>16} {'redraw, ms':>11} {'longest, ms':>12} {'an event, us':>13} {'KB/s':>6}"
    )
    for result in results:
        print(
            f"{result['size']:>8} {result['share']:>16.2%} {result['median_ms']:>11.2f} {result['most_ms']:>12.2f} "
            f"{result['event_us']:>13.0f} {result['kilobytes_a_second']:>6.1f}"
        )
    print(json.dumps(results))


def cost(events: list[Stamped], width: int, height: int) -> dict[str, float | str]:
    """Of the whole run at one size."""
    os.environ.update(TERM="xterm-256color", COLUMNS=str(width), LINES=str(height))
    state, now = ConsoleState(), events[0].elapsed_s
    terminal = Terminal()
    screen = Screen(terminal, lambda width, height: draw(state, width, height, now))
    screen.open()
    redraws: list[float] = []
    taken_in = 0.0
    waiting = iter(events)
    stamped = next(waiting, None)
    while stamped is not None:
        began = time.thread_time()
        while stamped is not None and stamped.elapsed_s <= now:
            state = after(state, stamped, stamped.elapsed_s)
            stamped = next(waiting, None)
        seen = time.thread_time()
        screen.redraw()
        taken_in += seen - began
        redraws.append(time.thread_time() - seen)
        now += REDRAW_S
    seconds = now - events[0].elapsed_s
    return {
        "size": f"{width}x{height}",
        "steps": state.steps_done,
        "step_s": round(seconds / max(1, state.steps_done), 3),
        "share": (sum(redraws) + taken_in) / seconds,
        "median_ms": 1e3 * median(redraws),
        "most_ms": 1e3 * max(redraws),
        "event_us": 1e6 * taken_in / len(events),
        "kilobytes_a_second": len(terminal.getvalue().encode()) / seconds / 1e3,
    }


def lengthened(events: list[Stamped], steps: int) -> list[Stamped]:
    """The same run with its steps told again and again, without its end."""
    done = [index for index, stamped in enumerate(events) if isinstance(stamped.event, StepDone)]
    head, body = events[: done[0] + 1], events[done[0] + 1 : done[-1] + 1]
    lasting = body[-1].elapsed_s - head[-1].elapsed_s
    count = len(done) - 1
    told = list(head)
    for round_ in range(-(-(steps - 1) // count)):
        for stamped in body:
            event = stamped.event
            if isinstance(event, StepDone):
                event = replace(event, step=event.step + round_ * count, steps_planned=steps)
            elapsed_s = stamped.elapsed_s + round_ * lasting
            told.append(replace(stamped, at=stamped.at + round_ * lasting, elapsed_s=elapsed_s, event=event))
    return [stamped for stamped in told if not isinstance(stamped.event, RunFinished)]


if __name__ == "__main__":
    main()

"""A small process beside a run that ends it at its limit, whatever holds it: `python -I -S watchdog.py PID`.

The run writes what it knows to standard input, each time as one line of JSON, and this process knows when
the limit comes. It asks the run to go, over standard output, and kills it with all its children where it stays. Once
the run is gone, for whatever reason, what it left of its bill is closed here. It imports nothing of the package.
"""

import json
import os
import select
import signal
import sys
import threading
import time
from contextlib import suppress

TYPE_CHECKING = False  # typing is not imported: it is a tenth of this process
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

MARGIN_S = 0.5
"""Before the limit: for a process to go, and for the last line of its bill."""
GO_S = 0.25
"""For a run that was asked to go."""
AWAKE_S = 1.0
"""A moment that is missed by more was slept through."""
GRACE_S = 5.0
"""For a run that slept through its limit to save its last whole step."""
SHORTLY_S = 0.005
DISK_S = 1.0
LOOK_S = 0.5
"""A process that the run forked may keep the pipe open after the run is dead."""
WORTH_A_LINE_S = 10.0
"""A run that ends sooner, before it has a folder, is on no bill: a slip in a recipe costs a second."""
SCREEN_BACK = "\x1b[?1049l\x1b[?25h\n"
"""A terminal shows its own screen and its cursor again."""


def boottime() -> float:
    """Seconds since the machine started, its sleep included."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if clock is None else time.clock_gettime(clock)


def log(reason: str) -> None:
    """Write a line to stderr, on the terminal's own screen."""
    screen = SCREEN_BACK if os.isatty(2) else ""
    with suppress(OSError):
        os.write(2, f"{screen}{reason}\n".encode("utf-8", "backslashreplace"))


class Watchdog:
    """Watches the process that started this one."""

    def __init__(self, run: int) -> None:
        self._run = run
        self._end_of_run: int | None = None
        with suppress(OSError, AttributeError):  # Linux has it
            self._end_of_run = os.pidfd_open(run)
        self._known: dict[str, Any] = {}
        self._unread = b""
        self._why = "died"

    def watch(self) -> None:
        """Until the run is gone."""
        while self._alive() and not self._known.get("off"):
            deadline = self._known.get("deadline")
            left_s = LOOK_S if deadline is None else deadline - MARGIN_S - boottime()
            if left_s <= 0:
                self._end(slept=left_s < -AWAKE_S)
                break
            if not self._read(min(left_s, LOOK_S)):
                time.sleep(SHORTLY_S)  # it is about to end, or something in it has closed all files
        while self._read(0.0, at_end=True):
            pass
        self._close_bill()

    def _read(self, seconds: float, at_end: bool = False) -> bool:
        """Take in what the run says within so many seconds; False once it can say no more."""
        if not select.select([0], [], [], seconds)[0]:
            return not at_end
        data = os.read(0, 1 << 16)
        *lines, self._unread = (self._unread + data).split(b"\n")
        for line in lines:
            with suppress(ValueError):
                self._known.update(json.loads(line))
        return bool(data)

    def _alive(self) -> bool:
        if self._end_of_run is None:
            return os.getppid() == self._run
        return not select.select([self._end_of_run], [], [], 0.0)[0]

    def _wait(self, seconds: float) -> bool:
        """Whether the run is gone within so many seconds."""
        until = boottime() + seconds
        while self._alive() and boottime() < until:
            time.sleep(SHORTLY_S)
        return not self._alive()

    def _end(self, slept: bool) -> None:
        family, self._why = descendants(self._run), self._known["limit"]
        if slept:
            os.kill(self._run, signal.SIGTERM)
            if self._wait(GRACE_S):
                return
        reason = "{limit} is used up: the run was ended at once, in its phase {phase}; {advice}".format(**self._known)
        with suppress(OSError):
            os.write(1, reason.encode("utf-8", "backslashreplace"))
        if not self._wait(GO_S):
            os.kill(self._run, signal.SIGKILL)
            self._wait(LOOK_S)  # in vain where it waits for a disk that hangs
            log(reason)
        for process in family:
            with suppress(OSError):
                os.kill(process, signal.SIGKILL)

    def _close_bill(self) -> None:
        """The last line of the session in its ledger; where there is none, or its disk does not answer, word of it."""
        known = self._known
        if "since" not in known or "off" in known:
            return
        more_s = boottime() - known["since"]
        seconds = known["seconds_by_phase"]
        seconds[known["phase"]] = seconds.get(known["phase"], 0.0) + more_s
        elapsed_s = sum(seconds.values())
        ledger = known["ledger"]
        if ledger and in_time(lambda: os.stat(ledger)):
            if known["closed"] and more_s < MARGIN_S:
                return
            line = {**known["end"], "at": time.time(), "elapsed_s": elapsed_s, "seconds_by_phase": seconds}
            line["watchdog"] = self._why
            if "joules" in line:
                line["joules"] += more_s * known["most_watts"]
            if in_time(lambda: append(ledger, line)):
                return
        elif elapsed_s < WORTH_A_LINE_S:
            return
        usd = elapsed_s / 3600 * known["rate"]
        if usd:
            word = {"at": time.time(), "seconds": elapsed_s, "usd": usd, "folder": known["folder"]}
            in_time(lambda: keep_count(known["unbilled"], word))
            log(f"the {elapsed_s:.0f} s of this session are on no run's bill; {known['unbilled']} keeps count of them")


def descendants(process: int) -> list[int]:
    """Find the children of a process and theirs, but for this one, by /proc."""
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc") if os.path.isdir("/proc") else ():
        with suppress(OSError, ValueError, IndexError):
            with open(f"/proc/{int(name)}/stat", "rb") as file:
                parent = int(file.read().rpartition(b")")[2].split()[1])
            children.setdefault(parent, []).append(int(name))
    found = [process]
    for one in found:
        found += children.get(one, [])
    return [one for one in found[1:] if one != os.getpid()]


def append(path: str, line: "dict[str, Any]") -> None:
    """A line of JSON in the place of a torn one, if the file ends so; on the disk when this returns."""
    with open(path, "rb+") as file:
        file.truncate(file.read().rfind(b"\n") + 1)
        file.seek(0, os.SEEK_END)
        file.write(json.dumps(line).encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())


def keep_count(path: str, word: "dict[str, Any]") -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "ab"):
        append(path, word)


def in_time(work: "Callable[[], object]") -> bool:
    """Whether work on a disk was done before DISK_S were over."""
    done: list[bool] = []

    def do() -> None:
        with suppress(OSError):
            work()
            done.append(True)

    thread = threading.Thread(target=do, daemon=True)
    thread.start()
    thread.join(DISK_S)
    return bool(done)


def main() -> None:
    """What ends the run with a signal to its group must not end this process first."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    Watchdog(int(sys.argv[1])).watch()
    os._exit(0)  # a thread may wait for a disk still


if __name__ == "__main__":
    main()

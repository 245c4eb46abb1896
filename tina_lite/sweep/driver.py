"""The loop of a sweep: trials that wait are started where there is room and money; what is lost goes on elsewhere.

What a trial did stands in its run folder, its bill in its ledger; the driver adds its own ledger, and where each trial
was started. So a driver that died, or was ended, is gone on with from the folders alone.
"""

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal, Protocol

from tina_lite.budget import read_bills
from tina_lite.recipe import to_yaml
from tina_lite.runs.folder import LEDGER, read_summary
from tina_lite.runs.look import owner_of
from tina_lite.sweep.bill import OWN, Span, by_machine, machine_seconds, spans_of
from tina_lite.sweep.file import Trial
from tina_lite.sweep.journal import Journal
from tina_lite.sweep.rungs import Rungs
from tina_lite.util.disk import write_atomically

State = Literal["waiting", "running", "done", "weak", "failed", "no money"]
ENDED: tuple[State, ...] = ("done", "weak", "failed", "no money")
MOST_LOSSES = 5
"""A trial that was lost with its process so often has failed."""
REST_S = 10.0
"""A node that has lost a trial is not used for so long: Ray may need that to see that a machine is gone."""
LEAST_S = 20.0
"""A trial is not begun where money is left for less."""
LATE_S = 5.0
"""Of what it is promised, for its process to begin: by its own stop rules it ends in time, and evaluates."""
LEAST_MORE = 0.1
"""Nor gone on with for less than this share of what it has used: loading would eat it up."""
MARGIN_S = 15.0
"""Of each machine: what starting, saving and ending may take beyond what trials were promised."""
AGAIN = ("max_usd", "interrupted", "stop_file")
"""Reasons for which a trial stopped and that more money, or another turn of the driver, takes away."""


@dataclass(frozen=True, slots=True)
class Node:
    """A part of a machine, or all of it, that runs trials."""

    id: str
    machine: str
    """Stays the same when the driver is started anew; OWN is the driver's."""
    slots: int
    """Trials that it runs at once."""


class Pool(Protocol):
    """Where trials run."""

    def nodes(self) -> Sequence[Node]:
        """Those that are there now; they come and go."""
        ...

    def start(self, number: int, node: Node, words: Sequence[str], log: Path) -> None:
        """Run `tina-lite WORDS` on a node, for the trial of this number."""
        ...

    def ended(self) -> list[tuple[int, int | None]]:
        """Trials that ended since this was last asked, with their exit status; None: process or machine died."""
        ...


@dataclass(slots=True)
class Course:
    """One trial, and where it stands."""

    trial: Trial
    folder: Path
    state: State = "waiting"
    node: Node | None = None
    """Where it runs."""
    until: float = 0.0
    """By the clock of time.monotonic: how long its machine is promised to it."""
    asked: bool = False
    """To save and end."""
    losses: int = 0
    why: str = ""
    """It failed, or is too weak."""

    @property
    def ledger(self) -> Path:
        return self.folder / LEDGER

    @property
    def seconds(self) -> float:
        """Of all its sessions so far."""
        return sum(bill.seconds for bill in read_bills(self.ledger))

    @property
    def usd(self) -> float:
        """The same in dollars, at its share of a machine's rate."""
        return sum(bill.usd for bill in read_bills(self.ledger))

    @property
    def left_s(self) -> float:
        """That it may go on."""
        return max(0.0, self.until - time.monotonic())


class Driver:
    """Runs trials in a pool, under one bill."""

    def __init__(
        self,
        folder: Path,
        trials: Sequence[Trial],
        pool: Pool,
        *,
        max_usd: float,
        rate: float,
        rungs: Rungs | None = None,
    ) -> None:
        """`rate` is what an hour of one machine costs; `folder` that of the sweep, with the driver's ledger in it."""
        self._folder = folder
        self._pool = pool
        self._journal = Journal(folder)
        self._rungs = rungs
        self.max_usd, self._rate = max_usd, rate
        self.stopping = ""
        """Why no trial is started any more."""
        self.courses = [Course(trial, folder / "trials" / trial.folder) for trial in trials]
        self.nodes: Sequence[Node] = ()
        self._spans: dict[int, list[Span]] = {}
        """When the sessions of each trial ran; those of a trial that has ended are read no more."""
        self._rests: dict[str, float] = {}
        """Nodes that lost a trial, and until when they are left alone, by the clock of time.monotonic."""
        self.usd = 0.0
        """What all of it had cost, on all machines, at the start of the last turn."""
        weak = self._journal.weak()
        for course in self.courses:
            summary = read_summary(course.folder)
            if course.trial.number in weak:
                course.state, course.why = "weak", weak[course.trial.number]
            elif summary and summary.get("stop_reason") not in AGAIN:
                self._end(course, 0)

    def turn(self) -> bool:
        """Take note of what ended, start what can be; whether there is more to do."""
        self.nodes, self.usd = self._pool.nodes(), self.bill()
        for number, status in self._pool.ended():
            self._end(self.courses[number - 1], status)
        for course in self._in("running"):
            if not course.left_s:
                self._ask_to_end(course)
        self._end_the_weak()
        short = not self.stopping and self._start()
        if short and not self._placed():
            for course in self._in("waiting"):
                course.state = "no money"
        if self._payable_s() < -self._margin_s() / 2:  # what ends takes longer than was thought
            self.stop("max_usd")
        return bool(self._placed()) or (bool(self._in("waiting")) and not self.stopping)

    def bill(self) -> float:
        """US dollars of all machines so far."""
        for course in self.courses:
            if course.state not in ENDED or course.node or course.trial.number not in self._spans:
                self._spans[course.trial.number] = spans_of(course.ledger)
        own = spans_of(self._folder / LEDGER)
        spans = by_machine(own, self._spans, self._journal.places())
        return sum(map(machine_seconds, spans.values())) / 3600 * self._rate

    def stop(self, why: str) -> None:
        """Start nothing more, and ask what runs to save and end."""
        self.stopping = self.stopping or why
        for course in self._in("running"):
            self._ask_to_end(course)

    def _in(self, state: State) -> list[Course]:
        return [course for course in self.courses if course.state == state]

    def _placed(self) -> list[Course]:
        """Those with a process, also one that was asked to end."""
        return [course for course in self.courses if course.node]

    def _end(self, course: Course, status: int | None) -> None:
        node, course.node = course.node, None
        self._spans.pop(course.trial.number, None)
        if course.state == "weak":
            return
        reason = str((read_summary(course.folder) or {}).get("stop_reason", ""))
        if status == 0:
            course.state = "waiting" if reason in AGAIN else "done"
        elif course.asked:
            course.state = "waiting"
        elif status is None or status < 0 or status > 128:  # died with its machine, or by a signal
            course.losses += 1
            course.state = "waiting"
            if node:
                self._rests[node.id] = time.monotonic() + REST_S
        else:
            course.state, course.why = "failed", reason or f"exit status {status}"
        if course.losses > MOST_LOSSES:
            course.state, course.why = "failed", f"its process was lost {course.losses} times"

    def _end_the_weak(self) -> None:
        if self._rungs is None:
            return
        running = self._in("running")
        ended = [course for course in self.courses if course.state in ENDED]
        for course in ended + running:  # against which those that run are held, after a resume too
            why = self._rungs.verdict(course.trial.number, course.trial.setting, course.folder)
            if why and course.state == "running":
                self._journal.found_weak(course.trial.number, why)
                course.state, course.why = "weak", why
                self._ask_to_end(course)

    def _ask_to_end(self, course: Course) -> None:
        course.asked = True
        self._log(course, ".stop").touch()

    def _start(self) -> bool:
        """Start what there is room and money for; whether money was short."""
        # One whose process outlived its driver, or its worker, saves first.
        waiting = (course for course in self._in("waiting") if owner_of(course.folder) is None)
        taken = Counter(course.node.id for course in self._placed() if course.node)
        for node in self.nodes:
            if self._rests.get(node.id, 0.0) > time.monotonic():
                continue
            for course in islice(waiting, max(0, node.slots - taken[node.id])):
                seconds = self._affordable_s(node.machine)
                if seconds < max(LEAST_S, LEAST_MORE * course.seconds):
                    return True
                self._begin(course, node, seconds)
        return False

    def _begin(self, course: Course, node: Node, seconds: float) -> None:
        slots = sum(one.slots for one in self.nodes if one.machine == node.machine)
        rate = self._rate / slots
        words = self._words(course, (seconds - LATE_S) * rate / 3600, rate)
        course.until, course.node, course.state, course.asked = time.monotonic() + seconds, node, "running", False
        self._journal.started(course.trial.number, node.machine)
        self._log(course, ".stop").unlink(missing_ok=True)
        self._pool.start(course.trial.number, node, words, self._log(course))

    def _affordable_s(self, machine: str) -> float:
        """Seconds for one more trial there: an even share, and never more than can be paid for."""
        slots = sum(one.slots for one in self.nodes)
        unfinished = sum(course.state in ("waiting", "running") for course in self.courses)
        even_s = self._payable_s() / len(self._machines()) * min(1.0, slots / unfinished)
        promised = self._promised_s()
        free_s = self._payable_s() - sum(promised.values())
        there, here = promised.get(machine, 0.0), promised.get(OWN, 0.0)
        if machine == OWN or there + free_s <= here:
            return min(even_s, there + free_s)
        return min(even_s, (there + here + free_s) / 2)  # the driver waits for it, and its machine is paid for too

    def _machines(self) -> set[str]:
        return {OWN, *(node.machine for node in self.nodes)}

    def _payable_s(self) -> float:
        """For how long one machine can still be paid."""
        return (self.max_usd - self.usd) / self._rate * 3600 - self._margin_s()

    def _margin_s(self) -> float:
        return MARGIN_S * len(self._machines())

    def _promised_s(self) -> dict[str, float]:
        """How long each machine may have to be paid: for the trials on it, the driver's for all of them."""
        promised: dict[str, float] = {}
        for course in self._placed():
            for machine in {OWN, course.node.machine if course.node else OWN}:
                promised[machine] = max(promised.get(machine, 0.0), course.left_s)
        return promised

    def _log(self, course: Course, more: str = "") -> Path:
        return self._folder / "logs" / f"{course.folder.name}.log{more}"

    def _words(self, course: Course, usd: float, rate: float) -> list[str]:
        """The command that begins a trial, or goes on with it, for so many dollars more."""
        recipe = self._folder / "recipes" / f"{course.folder.name}.yaml"
        recipe.parent.mkdir(exist_ok=True)
        if not recipe.exists():
            write_atomically(recipe, to_yaml(course.trial.recipe))
        return [
            *("run", str(recipe), "--resume", "auto", "--force-recipe", "--out", str(course.folder), "--plain"),
            *("--rate", repr(rate), "--max-usd", repr(course.usd + usd)),
        ]

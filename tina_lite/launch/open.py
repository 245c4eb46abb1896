"""A run's folder, checkpoint, bill and events, each opened in the order in which less can go wrong."""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tina_lite.budget import Meter
from tina_lite.budget.guard import guard
from tina_lite.budget.meter import end_run
from tina_lite.data.examples import NOT_CHOSEN
from tina_lite.launch.check import FREE, Checked
from tina_lite.launch.close import spare_s
from tina_lite.policy.engine import enter
from tina_lite.recipe import to_yaml
from tina_lite.runs import checkpoint
from tina_lite.runs.events import EventStream, Listener, LogLine, PhaseChanged, RunStarted
from tina_lite.runs.folder import RUNS, RunFolder, free_folder
from tina_lite.runs.session import Session, StopRequest
from tina_lite.runs.state import CheckpointState
from tina_lite.track import trackers
from tina_lite.util.errors import BadInput
from tina_lite.version import VERSION

if TYPE_CHECKING:
    from tina_lite.launch.model_check import Fitting


def check_model_of(checked: Checked) -> "Fitting":
    """The last thing that a wrong recipe can break."""
    model = checked.recipe.model
    local = model.id.startswith("builtin:") or Path(model.id).is_dir()
    # before transformers is imported
    enter(checked.engine, local=local, vllm=checked.recipe.rollout.engine == "vllm")
    from tina_lite.launch.model_check import check_model  # imports torch

    return check_model(checked.recipe, checked.train, notes_wanted=not checked.resume)


def open_folder(checked: Checked) -> RunFolder:
    """Locked; of two runs of a name that start together the second takes the next free folder."""
    if checked.resume:
        return RunFolder.reopen(checked.path)
    path, text = checked.path, to_yaml(checked.recipe)
    while True:
        try:
            return RunFolder.create(path, text)
        except BadInput:
            if not checked.own_name:
                raise
            path = free_folder(RUNS, checked.recipe.name)


def leave_nothing(folder: RunFolder) -> None:
    """Of a fresh run."""
    with suppress(OSError):
        shutil.rmtree(folder.path)
        if folder.path.parent == RUNS and not any(RUNS.iterdir()):
            RUNS.rmdir()


def read_checkpoint(checked: Checked, folder: RunFolder) -> tuple[CheckpointState | None, list[str], list[str]]:
    """The newest of a resumed run, the names of damaged ones, and what a person should know of them.

    None where the run was killed before its first; BadInput where all that hold a step are damaged, or what they need
    is not as it was.
    """
    if not checked.resume:
        return None, [], []
    saved, damaged = checkpoint.newest(folder.checkpoints)
    if damaged and (saved is None or saved.step == 0) and not checked.force_restart:
        raise BadInput(
            f"{folder.checkpoints}: {', '.join(damaged)} cannot be read, and there is no other that holds a "
            "step; restore one from a copy, or begin again at step 0, on the same bill, with --force-restart"
        )
    kept = CheckpointState(saved) if saved else None
    changes = checked.identity.changes_since(kept.identity) if kept else []
    return kept, damaged, [f"checkpoint {name} is damaged and was passed over" for name in damaged] + changes


@contextmanager
def open_bill(checked: Checked, folder: RunFolder) -> Iterator[Meter]:
    """The meter, and the watchdog over it."""
    try:
        with closing(Meter.open(folder.ledger, checked.rate)) as meter:
            more = f"what is saved goes on with --resume --out {folder.path} and more of it"
            guard(meter, checked.limits, folder.path, more)
            yield meter
    finally:
        end_run()


def take_up(checked: Checked, folder: RunFolder, kept: CheckpointState | None, damaged: Sequence[str]) -> None:
    """Let the folder of a resumed run be as it was at its checkpoint."""
    folder.cut_back(kept.log_sizes if kept else {})
    folder.write_recipe(to_yaml(checked.recipe))
    checkpoint.set_aside(folder.checkpoints, damaged)


@contextmanager
def open_session(
    checked: Checked, folder: RunFolder, meter: Meter, stop: StopRequest, listeners: Sequence[Listener]
) -> Iterator[Session]:
    """Events, and all that listen to them."""
    recipe, events = checked.recipe, EventStream(meter.elapsed_s, meter.usd)
    session = Session.begin(folder, meter, checked.limits, events, stop, recipe.grpo.num_iterations)
    stop.answer = session.warn
    with ExitStack() as stack:
        tracking = trackers(recipe, session.warn, lambda: spare_s(session))
        for tracker in tracking:
            stack.callback(tracker.close)
        everybody: list[Listener] = [folder.listener, *tracking, *listeners]
        for listener in everybody:
            events.subscribe(listener)
        yield session


def announce(checked: Checked, session: Session, from_step: int, warnings: Sequence[str]) -> None:
    """What begins here, and all that a person should know of it."""
    recipe, emit, reading = checked.recipe, session.events.emit, session.meter.read()
    left = replace(checked.limits, max_usd=None).left(reading)
    emit(
        RunStarted(
            name=recipe.name,
            folder=str(session.folder.path.resolve()),
            version=VERSION,
            model=recipe.model.named,
            engine=checked.engine.name,
            device=checked.device_name,
            seed=recipe.seed,
            rate=checked.rate.usd_per_hour,
            rate_source=checked.rate.source,
            max_usd=recipe.budget.max_usd,
            max_hours=recipe.stop.max_hours,
            max_steps=checked.max_steps,
            resumed_from_step=from_step,
            unit_s=checked.rate.unit_s,
            ends_at_s=reading.elapsed_s + left.seconds if left else None,
            planned_step_s=checked.plan.step.total if checked.plan else None,
        )
    )
    emit(LogLine("info", f"engine {checked.engine}"))
    for warning in checked.engine.warnings:
        session.warn(warning)
    if recipe.budget.max_usd is not None and not checked.rate.binds:
        session.warn(FREE)
    for reason, count in checked.train.skipped.items():
        level: Literal["info", "warning"] = "info" if reason == NOT_CHOSEN else "warning"
        emit(LogLine(level, f"{checked.train.name}: {count} rows skipped: {reason}"))
    for warning in (*checked.warnings, *warnings):
        session.warn(warning)
    emit(PhaseChanged("load", 0))

"""From a recipe to a run: what is prepared is loaded, trained, closed.

The order is the point: the run folder is made once nothing that a person typed can fail any more.
"""

import shutil
import signal
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tina_lite.budget import Meter
from tina_lite.budget.guard import guard
from tina_lite.budget.meter import end_run
from tina_lite.data.examples import NOT_CHOSEN
from tina_lite.launch.close import close, spare_s
from tina_lite.launch.prepare import RUNS, Prepared, prepare
from tina_lite.launch.preview import FREE
from tina_lite.launch.resume import finished
from tina_lite.policy.engine import enter
from tina_lite.recipe import Recipe, to_yaml
from tina_lite.rewards import sections_of
from tina_lite.rewards.call import RewardFunction
from tina_lite.runs import checkpoint
from tina_lite.runs.events import EventStream, Listener, LogLine, PhaseChanged, RunStarted
from tina_lite.runs.folder import RunFolder, free_folder
from tina_lite.runs.session import Session, StopRequest
from tina_lite.runs.state import CheckpointState
from tina_lite.track import trackers
from tina_lite.util.disk import TAKES_NO_MORE
from tina_lite.util.errors import BadInput, Interrupted, NoRoom, TinaError, one_line
from tina_lite.util.memory import is_out_of_memory
from tina_lite.util.wall_clock import OutOfTime
from tina_lite.version import VERSION

if TYPE_CHECKING:
    from tina_lite.launch.model_check import Fitting
    from tina_lite.policy import Policy
    from tina_lite.runs.checkpoint_manager import CheckpointManager
    from tina_lite.train.trainer import Trainer


def run(
    recipe: Recipe,
    *,
    rewards: Sequence[RewardFunction | str | Mapping[str, Any]] = (),
    out: str | Path | None = None,
    rate: float | str | None = None,
    resume: bool = False,
    force_recipe: bool = False,
    force_restart: bool = False,
    callbacks: Sequence[Any] = (),
    listeners: Sequence[Listener] = (),
) -> dict[str, Any]:
    """Train as the recipe says; returns the summary that the run folder keeps as summary.json.

    Args:
        recipe: from `load_recipe`.
        rewards: in the place of the recipe's: functions, names, or sections such as {"name": "format", "weight": 0.5}.
        out: the run folder; default runs/NAME, or the next free of NAME-2, NAME-3, ...
        rate: US dollars per hour; wins over the recipe's.
        resume: go on with the run in `out` from its newest checkpoint; one that has ended for good is left as it is.
        force_recipe: let budget, stop rules and checkpoints of a resumed run be others than it began with.
        force_restart: let a resumed run begin again at step 0 where every checkpoint is damaged.
        callbacks: beside the recipe's: functions that are handed each StepRecord, classes with some of the methods of
            `tina_lite.train.callbacks.Callback`, or either as file.py:name.
        listeners: called with every event (`tina_lite.runs.events.Stamped`).

    Raises:
        BadInput: something given cannot be used; nothing was written.
        NoRoom: the budget or the machine is too small.
        NothingLeft: a resumed run's budget is used up.
        Interrupted: a signal ended the run, after it had saved.
        Exception: whatever else ended the run, after it had saved; the traceback is in error.txt too.
    """
    if rewards:
        recipe = recipe.model_copy(update={"rewards": sections_of(rewards)})
    if resume and out is not None and (summary := finished(Path(out), recipe)) is not None:
        return summary
    prepared = prepare(
        recipe,
        out=out,
        rate=rate,
        resume=resume,
        force_recipe=force_recipe,
        force_restart=force_restart,
        callbacks=callbacks,
    )
    return train(prepared, listeners)


def train(prepared: Prepared, listeners: Sequence[Listener] = ()) -> dict[str, Any]:
    """Do what `run` does after its checks."""
    return _Run(prepared, listeners).run()


class _Run:
    """One process's share of a run."""

    def __init__(self, prepared: Prepared, listeners: Sequence[Listener]) -> None:
        self._p = prepared
        self._listeners = listeners
        self._damaged: list[str] = []

    def run(self) -> dict[str, Any]:
        with ExitStack() as stack:
            stop = stack.enter_context(StopRequest())
            try:
                with stop.limited():  # nothing is there yet that would have to be saved
                    session, trainer, policy = self._begin(stack, stop)
            except OutOfTime:
                assert stop.signal_number is not None, "there is no other limit"
                on = f"; go on with: tina-lite resume {self._p.path}" if (self._p.path / "recipe.yaml").exists() else ""
                raise Interrupted(f"stopped while loading{on}", stop.signal_number) from None
            try:
                trainer.train()
            except BaseException as error:
                told = self._rescued(error, trainer.checkpoints, session.folder)
                trainer.stop_reason = getattr(told, "kind", "error")  # also at the end of its steps: it is not finished
                with suppress(OSError, NoRoom):  # what went wrong first is said; a full disk may not take a summary
                    close(self._p, trainer, policy.base_name)
                if told is error:
                    raise
                raise told from error
            return close(self._p, trainer, policy.base_name)

    def _begin(self, stack: ExitStack, stop: StopRequest) -> "tuple[Session, Trainer, Policy]":
        """Everything open and loaded; what fails here leaves no folder that the next try would stumble over."""
        fitting = None
        if not self._p.resume:  # which has a bill: it goes on at once
            fitting = self._check_model()
            self._p = replace(self._p, warnings=(*self._p.warnings, *self._notes(fitting)))
        with ExitStack() as opened:
            folder = self._open_folder(opened)
            try:
                with ExitStack() as inside:
                    begun = self._loaded(inside, stop, folder, fitting)
                    opened.push(inside.pop_all())
            except Exception as error:
                self._fails_at_once(error, folder)
                raise
            stack.push(opened.pop_all())
        return begun

    def _fails_at_once(self, error: Exception, folder: RunFolder) -> None:
        if not self._p.resume:
            self._leave_nothing()
        if is_out_of_memory(error):
            raise NoRoom(f"out of memory while loading: {one_line(error)}; choose a smaller model") from error
        if self._p.resume and not isinstance(error, TinaError):
            with suppress(OSError, NoRoom):
                folder.keep_fault(error)
            error.add_note(f"the traceback is in {folder.fault}")

    def _loaded(
        self, stack: ExitStack, stop: StopRequest, folder: RunFolder, fitting: "Fitting | None"
    ) -> "tuple[Session, Trainer, Policy]":
        """The bill opened, the model loaded, the loop put together in the run's folder."""
        p = self._p
        saved = self._newest_checkpoint(folder) if p.resume else None
        kept = CheckpointState(saved) if saved else None
        changes = p.identity.changes_since(kept.identity) if kept else []
        meter = self._open_bill(stack, folder)
        tokenizer = (fitting or self._check_model()).tokenizer
        if p.resume:
            folder.cut_back(kept.log_sizes if kept else {})
            folder.write_recipe(to_yaml(p.recipe))
            checkpoint.set_aside(folder.checkpoints, self._damaged)
        events = EventStream(meter.elapsed_s, meter.usd)
        session = Session.begin(folder, meter, p.limits, events, stop, p.recipe.grpo.num_iterations)
        tracking = trackers(p.recipe.track, p.recipe.model_dump(mode="json"), session.warn, lambda: spare_s(session))
        events.subscribe(folder.listener)
        for tracker in tracking:
            events.subscribe(tracker)
            stack.callback(tracker.close)
        for listener in self._listeners:
            events.subscribe(listener)
        stop.answer = session.warn
        self._announce(session, saved.step if saved else 0)
        for change in changes:
            session.warn(change)
        with meter.phase("load"):
            from tina_lite.launch.assemble import assemble  # imports torch

            trainer, policy = assemble(p, tokenizer, session, kept.choices if kept else None)
            if saved is not None and kept is not None:
                trainer.checkpoints.restore(saved, kept)
                trainer.schedule.warn_if_changed()
        return session, trainer, policy

    def _rescued(self, error: BaseException, checkpoints: "CheckpointManager", folder: RunFolder) -> BaseException:
        """Save what was finished before the loop ended so; the error as a person is told it."""
        if isinstance(error, Interrupted):  # it was saved before
            return error
        if folder.is_gone:
            return NoRoom(f"{folder.path}: the run folder was removed while the run was in it; what it learnt is lost")
        try:
            step = checkpoints.save_on_error()
            saved = f"step {step} is saved, go on with: tina-lite resume {folder.path}"
        except Exception as second:
            saved = f"what was learnt since the last checkpoint could not be saved ({one_line(second)})"
        if isinstance(error, KeyboardInterrupt):
            return Interrupted(f"stopped at once; {saved}", signal.SIGINT)
        if is_out_of_memory(error):
            smaller = "lower rollout.max_completion_length, optim.micro_batch_tokens or lora.r"
            return NoRoom(f"out of memory ({one_line(error, 120)}); {saved}; {smaller} if it comes again")
        if isinstance(error, OSError) and error.errno in TAKES_NO_MORE:
            return NoRoom(f"the disk took no more ({one_line(error)}); {saved}")
        if not isinstance(error, TinaError):
            with suppress(OSError, NoRoom):
                folder.keep_fault(error)
            error.add_note(f"the traceback is in {folder.fault}; {saved}")
        return error

    def _check_model(self) -> "Fitting":
        """The last thing that a wrong recipe can break."""
        p = self._p
        model = p.recipe.model
        local = model.id.startswith("builtin:") or Path(model.id).is_dir()
        enter(p.engine, local=local, vllm=p.recipe.rollout.engine == "vllm")  # before transformers is imported
        from tina_lite.launch.model_check import check_model  # imports torch

        return check_model(p.recipe, p.train)

    def _notes(self, fitting: "Fitting") -> tuple[str, ...]:
        from tina_lite.launch.model_check import notes_on_model

        return notes_on_model(self._p.recipe, self._p.train, fitting)

    def _open_folder(self, stack: ExitStack) -> RunFolder:
        """Locked; of two runs of a name that start together the second takes the next free folder."""
        folder = RunFolder.reopen(self._p.path) if self._p.resume else self._create()
        stack.callback(folder.close)
        return folder

    def _create(self) -> RunFolder:
        while True:
            try:
                return RunFolder.create(self._p.path, to_yaml(self._p.recipe))
            except BadInput:
                if not self._p.own_name:
                    raise
                self._p = replace(self._p, path=free_folder(RUNS, self._p.recipe.name))

    def _open_bill(self, stack: ExitStack, folder: RunFolder) -> Meter:
        """The meter, and the watchdog over it."""
        p = self._p
        meter = Meter.open(folder.ledger, p.rate)
        stack.callback(end_run)
        stack.callback(meter.close)
        guard(meter, p.limits, p.path, f"what is saved goes on with --resume --out {p.path} and more of it")
        return meter

    def _leave_nothing(self) -> None:
        """Of a fresh run's folder."""
        with suppress(OSError):
            shutil.rmtree(self._p.path)
            if self._p.path.parent == RUNS and not any(RUNS.iterdir()):
                RUNS.rmdir()

    def _newest_checkpoint(self, folder: RunFolder) -> checkpoint.SavedCheckpoint | None:
        """None where the run was killed before its first one; BadInput where all that hold a step are damaged."""
        saved, self._damaged = checkpoint.newest(folder.checkpoints)
        if self._damaged and (saved is None or saved.step == 0) and not self._p.force_restart:
            raise BadInput(
                f"{folder.checkpoints}: {', '.join(self._damaged)} cannot be read, and there is no other that holds a "
                "step; restore one from a copy, or begin again at step 0, on the same bill, with --force-restart"
            )
        return saved

    def _announce(self, session: Session, from_step: int) -> None:
        p, emit, reading = self._p, session.events.emit, session.meter.read()
        left = replace(p.limits, max_usd=None).left(reading)
        emit(
            RunStarted(
                name=p.recipe.name,
                folder=str(session.folder.path.resolve()),
                version=VERSION,
                model=p.recipe.model.named,
                engine=p.engine.name,
                device=p.device_name,
                seed=p.recipe.seed,
                rate=p.rate.usd_per_hour,
                rate_source=p.rate.source,
                max_usd=p.recipe.budget.max_usd,
                max_hours=p.recipe.stop.max_hours,
                max_steps=p.max_steps,
                resumed_from_step=from_step,
                unit_s=p.rate.unit_s,
                ends_at_s=reading.elapsed_s + left.seconds if left else None,
                planned_step_s=p.plan.step.total if p.plan else None,
            )
        )
        emit(LogLine("info", f"engine {p.engine}"))
        for warning in p.engine.warnings:
            session.warn(warning)
        if p.recipe.budget.max_usd is not None and not p.rate.binds:
            session.warn(FREE)
        for reason, count in p.train.skipped.items():
            level: Literal["info", "warning"] = "info" if reason == NOT_CHOSEN else "warning"
            emit(LogLine(level, f"{p.train.name}: {count} rows skipped: {reason}"))
        for warning in p.warnings:
            session.warn(warning)
        for name in self._damaged:
            session.warn(f"checkpoint {name} is damaged and was passed over")
        emit(PhaseChanged("load", 0))

"""From a recipe to a run: check, open, load, train, close.

The order is the point: the run folder is made once nothing that a person typed can fail any more.
"""

import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tina_lite.launch.check import Checked, check
from tina_lite.launch.close import close
from tina_lite.launch.open import (
    announce,
    check_model_of,
    leave_nothing,
    open_bill,
    open_folder,
    open_session,
    read_checkpoint,
    take_up,
)
from tina_lite.launch.resume import finished
from tina_lite.recipe import Recipe
from tina_lite.rewards import sections_of
from tina_lite.rewards.call import RewardFunction
from tina_lite.runs.checkpoint_manager import CheckpointManager
from tina_lite.runs.events import Listener
from tina_lite.runs.folder import RunFolder
from tina_lite.runs.session import StopRequest
from tina_lite.util.disk import TAKES_NO_MORE
from tina_lite.util.errors import Interrupted, NoRoom, TinaError, one_line
from tina_lite.util.memory import is_out_of_memory
from tina_lite.util.wall_clock import OutOfTime

if TYPE_CHECKING:
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

    In a notebook a picture of the run stands in the cell, and an interrupt of the kernel saves.

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
    from tina_lite.console.notebook import NotebookView, Summary, in_notebook  # Rich's live view, which few need

    if rewards:
        recipe = recipe.model_copy(update={"rewards": sections_of(rewards)})
    if resume and out is not None and (summary := finished(Path(out), recipe)) is not None:
        return Summary(summary)
    checked = check(
        recipe,
        out=out,
        rate=rate,
        resume=resume,
        force_recipe=force_recipe,
        force_restart=force_restart,
        callbacks=callbacks,
    )
    seen_by = [NotebookView()] if in_notebook() else []
    return Summary(train(checked, [*seen_by, *listeners]))


def train(checked: Checked, listeners: Sequence[Listener] = ()) -> dict[str, Any]:
    """Do what `run` does after its checks."""
    with StopRequest() as stop, ExitStack() as stack:
        try:
            with stop.limited():  # nothing is there yet that would have to be saved
                trainer = stack.enter_context(_loaded(checked, stop, listeners))
        except OutOfTime:
            assert stop.signal_number is not None, "there is no other limit"
            begun = (checked.path / "recipe.yaml").exists()
            on = f"; go on with: tina-lite resume {checked.path}" if begun else ""
            raise Interrupted(f"stopped while loading{on}", stop.signal_number) from None
        try:
            trainer.train()
        except BaseException as error:
            told = _rescued(error, trainer.checkpoints, trainer.session.folder)
            trainer.stop_reason = getattr(told, "kind", "error")  # also at the end of its steps: it is not finished
            with suppress(OSError, NoRoom):  # what went wrong first is said; a full disk may not take a summary
                close(checked, trainer)
            if told is error:
                raise
            raise told from error
        return close(checked, trainer)


@contextmanager
def _loaded(checked: Checked, stop: StopRequest, listeners: Sequence[Listener]) -> "Iterator[Trainer]":
    """Everything open and loaded; what fails here leaves no folder that the next try would stumble over."""
    model = None if checked.resume else check_model_of(checked)  # a resumed run's bill is opened first
    with closing(open_folder(checked)) as folder, ExitStack() as stack:
        try:
            kept, damaged, warnings = read_checkpoint(checked, folder)
            meter = stack.enter_context(open_bill(checked, folder))
            model = model or check_model_of(checked)
            if checked.resume:
                take_up(checked, folder, kept, damaged)
            session = stack.enter_context(open_session(checked, folder, meter, stop, listeners))
            announce(checked, session, kept.step if kept else 0, (*model.notes, *warnings))
            with meter.phase("load"):
                from tina_lite.launch.load import load  # imports torch

                trainer = load(checked, session, model.tokenizer, kept)
        except Exception as error:
            stack.close()
            if not checked.resume:
                leave_nothing(folder)
            if is_out_of_memory(error):
                raise NoRoom(f"out of memory while loading: {one_line(error)}; choose a smaller model") from error
            if checked.resume and not isinstance(error, TinaError):
                _keep_fault(folder, error)
            raise
        yield trainer


def _rescued(error: BaseException, checkpoints: CheckpointManager, folder: RunFolder) -> BaseException:
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
        _keep_fault(folder, error, f"; {saved}")
    return error


def _keep_fault(folder: RunFolder, error: BaseException, saved: str = "") -> None:
    with suppress(OSError, NoRoom):
        folder.keep_fault(error)
    error.add_note(f"the traceback is in {folder.fault}{saved}")

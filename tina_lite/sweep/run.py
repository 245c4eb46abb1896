"""A sweep from its file to its table."""

import json
import os
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from hashlib import sha256
from pathlib import Path

from tina_lite.budget import Meter
from tina_lite.budget.guard import guard
from tina_lite.budget.limits import Limits
from tina_lite.budget.rates import resolve_rate
from tina_lite.runs.folder import LEDGER
from tina_lite.runs.look import lock_folder
from tina_lite.runs.session import StopRequest
from tina_lite.sweep.cluster import RayPool, refuse_missing
from tina_lite.sweep.console import view
from tina_lite.sweep.driver import Driver
from tina_lite.sweep.file import SweepFile, Trial
from tina_lite.sweep.journal import JOURNAL
from tina_lite.sweep.rungs import Rungs
from tina_lite.sweep.table import lines_of, record_of
from tina_lite.util.device import card_name
from tina_lite.util.disk import write_atomically
from tina_lite.util.errors import BadInput

TURN_S = 0.5
TRIALS = "trials.json"
"""In a sweep's folder: what its trials are, so that it is not gone on with as another sweep."""


def run(
    sweep: SweepFile,
    trials: Sequence[Trial],
    folder: Path,
    *,
    address: str | None,
    max_usd: float | None,
    rate: str | None,
    resume: bool,
) -> None:
    """Run all trials; what they came to stands in `folder` as sweep.json, and in a table on stdout.

    At a signal everybody saves and ends, and the sweep can be gone on with.
    """
    folder = folder.absolute()
    if not resume and (folder / JOURNAL).exists():
        raise BadInput(f"{folder}: holds a sweep; go on with it by --resume, or choose another folder with --out")
    refuse_missing()
    _refuse_other_trials(folder, trials)
    price = resolve_rate(rate, sweep.budget.rate, os.environ, card_name(), budget_is_set=True)
    (folder / "logs").mkdir(parents=True, exist_ok=True)
    lock_folder(folder)
    write_atomically(folder / TRIALS, json.dumps(_digests(trials)) + "\n")
    most = sweep.budget.max_usd if max_usd is None else max_usd
    with closing(Meter.open(folder / LEDGER, price)) as meter:
        guard(meter, Limits(max_usd=most), folder, "what the trials saved goes on with --resume and more of it")
        with closing(RayPool(address, cpus=sweep.per_trial.cpus, gpus=sweep.per_trial.gpus)) as pool:
            if not pool.nodes():
                asked_for = f"{sweep.per_trial.cpus:g} processors and {sweep.per_trial.gpus:g} cards"
                raise BadInput(f"per_trial: no machine that Ray knows has {asked_for}")
            rungs = Rungs(most / len(trials)) if sweep.scheduler == "asha" else None
            driver = Driver(folder, trials, pool, max_usd=most, rate=price.usd_per_hour, rungs=rungs)
            with StopRequest() as asked, view() as shown:
                while driver.turn():
                    if asked.signal_number:
                        driver.stop(signal.Signals(asked.signal_number).name)
                    shown.show(driver)
                    time.sleep(TURN_S)
                shown.show(driver)
            record = record_of(driver)
    write_atomically(folder / "sweep.json", json.dumps(record, indent=2) + "\n")
    for line in lines_of(record):
        print(line)
    print(folder / "sweep.json")
    if asked.signal_number:
        print(f"stopped by {record['stopped_by']}; --resume goes on", file=sys.stderr)
        sys.exit(128 + asked.signal_number)


def _refuse_other_trials(folder: Path, trials: Sequence[Trial]) -> None:
    """BadInput where the sweep in this folder has other trials."""
    try:
        before = json.loads((folder / TRIALS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return
    if before != _digests(trials):
        changed = next((one.folder for one in trials if before.get(one.folder) != _digest(one)), "fewer trials")
        raise BadInput(f"{folder}: was begun with other trials than the file has now ({changed}); choose another --out")


def _digests(trials: Sequence[Trial]) -> dict[str, str]:
    return {trial.folder: _digest(trial) for trial in trials}


def _digest(trial: Trial) -> str:
    return sha256(trial.recipe.model_dump_json().encode()).hexdigest()[:16]

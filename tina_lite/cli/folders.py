"""Which run folder a word on the command line means."""

from contextlib import suppress
from pathlib import Path

from tina_lite.errors import BadInput


def run_folder(run: Path) -> Path:
    """The folder given, else the newest run of that name in runs/. BadInput where there is none."""
    from tina_lite.launch.prepare import RUNS
    from tina_lite.runs.folder import newest_folder

    if (run / "events.jsonl").is_file() or (run / "ledger.jsonl").is_file():
        return run
    if run == Path(run.name) or not run.exists():
        with suppress(BadInput):
            return newest_folder(RUNS, run.name)
    if run.exists():
        raise BadInput(f"{run}: is no run folder (no events.jsonl there); tina-lite runs lists them")
    raise BadInput(f"{run}: no run folder, and no run of that name in {RUNS}/; tina-lite runs lists them")

"""Which run folder a word on the command line means: a folder, the name of a run, or the recipe of one."""

from pathlib import Path

from tina_lite.errors import BadInput


def named(word: str) -> str:
    """The folder of the newest run of that name, or of that recipe; any other word as it stands."""
    path = Path(word)
    if path.suffix in (".yaml", ".yml") and path.is_file():
        from tina_lite.recipe import Recipe

        return _newest(Recipe.load(path).name) or word
    return word if path.exists() or path != Path(path.name) else _newest(path.name) or word


def run_folder(word: Path) -> Path:
    """The same, where nothing but a run is meant. BadInput where there is none."""
    from tina_lite.launch.prepare import RUNS

    run = Path(named(str(word)))
    if not _holds_a_run(run) and (run == Path(run.name) or not run.exists()):
        run = Path(_newest(run.name) or run)
    if _holds_a_run(run):
        return run
    if run.exists():
        raise BadInput(f"{run}: is no run folder (no events.jsonl there); tina-lite runs lists them")
    raise BadInput(f"{run}: no run folder, and no run of that name in {RUNS}/; tina-lite runs lists them")


def _newest(name: str) -> str:
    from tina_lite.launch.prepare import RUNS
    from tina_lite.runs.folder import folders_named

    return str(next(iter(folders_named(RUNS, name)), ""))


def _holds_a_run(path: Path) -> bool:
    return (path / "events.jsonl").is_file() or (path / "ledger.jsonl").is_file()

"""tina-lite stop RUN"""

from pathlib import Path

import click

from tina_lite.cli.folders import run_folder


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
def stop(run: Path) -> None:
    """Ask RUN, a run folder or the name of a run, to end after the step that it is in: it saves and evaluates.

    The same as a file named STOP in its folder, made by anyone who can reach it.
    """
    from tina_lite.errors import BadInput
    from tina_lite.runs.folder import STOP
    from tina_lite.runs.look import owner_of

    folder = run_folder(run)
    owner = owner_of(folder)
    if owner is None:
        raise BadInput(f"{folder}: no process runs it, so there is nothing to stop; tina-lite runs shows its state")
    try:
        (folder / STOP).touch()
    except OSError as error:
        raise BadInput(f"{folder}: no file named {STOP} can be made there ({error.strerror})") from None
    who = f" (process {owner})" if owner else ""
    click.echo(f"{folder}{who} ends after its step, saves and evaluates; tina-lite resume {folder} goes on")

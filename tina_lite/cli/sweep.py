"""The command tina-lite sweep SWEEP."""

from pathlib import Path

import click

from tina_lite.cli.arguments import NUMBER


@click.command()
@click.argument("file", metavar="SWEEP", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), metavar="DIR", help="Folder; default sweeps/NAME.")
@click.option("--address", metavar="auto|HOST", help="A Ray cluster that is there; default: this machine alone.")
@click.option("--max-usd", type=NUMBER, metavar="X", help="Override budget.max_usd, for all trials together.")
@click.option("--rate", metavar="X", help="What an hour of a machine costs, in US dollars.")
@click.option("--resume", is_flag=True, help="Go on with the sweep in --out.")
@click.option("--dry-run", is_flag=True, help="Check every trial's recipe, list them, spend nothing.")
def sweep(
    file: Path,
    out: Path | None,
    address: str | None,
    max_usd: float | None,
    rate: str | None,
    resume: bool,
    dry_run: bool,
) -> None:
    """Run the trials of SWEEP, a file of settings and seeds, under one budget."""
    from tina_lite.budget import guard
    from tina_lite.budget.money import format_usd
    from tina_lite.sweep.file import read_sweep, trials_of

    read = read_sweep(file)
    trials = trials_of(read, file)
    if dry_run:
        guard.stand_down()
        for trial in trials:
            click.echo(f"{trial.number:>4}  {trial.label}  seed={trial.seed}")
        most = read.budget.max_usd if max_usd is None else max_usd
        share = format_usd(most / len(trials))
        click.echo(f"{len(trials)} trials, {format_usd(most)} for all: {share} each, and more where others need less")
        return
    from tina_lite.sweep.run import run

    folder = out or Path("sweeps") / (read.name or file.stem)
    run(read, trials, folder, address=address, max_usd=max_usd, rate=rate, resume=resume)

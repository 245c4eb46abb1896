"""tina-lite report RUN..."""

import json
from pathlib import Path

import click

from tina_lite.cli.arguments import named


@click.command()
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="RUN...")
@click.option(
    "--out", type=click.Path(path_type=Path), metavar="FILE", help="Default: report.html in the run's folder."
)
@click.option("--open", "show", is_flag=True, help="Show it in a browser.")
@click.option("--markdown", "as_markdown", is_flag=True, help="Markdown for a model card, on stdout or in --out.")
def report(runs: tuple[Path, ...], out: Path | None, show: bool, as_markdown: bool) -> None:
    """What RUN, a folder or name of a run, came to: one HTML file that needs no network.

    Several runs share its pictures. The folder of a sweep has a report of its own kind.
    """
    from tina_lite.report import html_page, markdown_text, read_run, refuse_missing

    if not as_markdown:
        refuse_missing()
    runs = tuple(Path(named(str(run))) for run in runs)
    if len(runs) == 1 and (runs[0] / "sweep.json").exists() and not as_markdown:
        from tina_lite.sweep.page import sweep_page

        text = sweep_page(json.loads((runs[0] / "sweep.json").read_text(encoding="utf-8")))
    else:
        read = [read_run(folder) for folder in runs]
        text = markdown_text(read) if as_markdown else html_page(read)
    if as_markdown and out is None:
        click.echo(text, nl=False)
        return
    path = out or (runs[0] / "report.html" if len(runs) == 1 else Path("report.html"))
    _write(path, text)
    click.echo(path)
    if show and not as_markdown:
        click.launch(str(path.resolve()))


def _write(path: Path, text: str) -> None:
    from tina_lite.util.disk import write_atomically
    from tina_lite.util.errors import NoRoom

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, text)
    except OSError as error:
        raise NoRoom(f"{path}: cannot be written ({error.strerror}); choose another file with --out") from error

"""The command tina-lite docs [PAGE]."""

import sys
from pathlib import Path

import click

from tina_lite.util.disk import shipped_folder
from tina_lite.util.errors import BadInput, nearest


def pages() -> dict[str, Path]:
    """The pages that ship, by name."""
    folder = shipped_folder("docs")
    return {path.stem: path for path in sorted(folder.glob("*.md"))} if folder else {}


@click.command("docs")
@click.argument("page", default="index")
def docs(page: str) -> None:
    """Print a page of the documentation: no network is needed. Without PAGE, a list of them."""
    known = pages()
    place = known.get(page.removesuffix(".md"))
    if place is None:
        raise BadInput(f"docs: there is no page {page}{nearest(page, list(known))}; known are {', '.join(known)}")
    text = place.read_text(encoding="utf-8")
    if not sys.stdout.isatty():
        print(text, end="")
        return
    from rich.console import Console
    from rich.markdown import Markdown

    console = Console()
    with console.pager(styles=True):
        console.print(Markdown(text))

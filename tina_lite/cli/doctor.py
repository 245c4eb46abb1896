"""The command tina-lite doctor."""

import json
import shutil
from dataclasses import asdict
from textwrap import wrap
from typing import TYPE_CHECKING

import click

from tina_lite.util.errors import NoRoom

if TYPE_CHECKING:
    from tina_lite.doctor import Finding

WHAT_WIDTH = 14
LEVEL_WIDTH = 7


@click.command()
@click.option("--model", metavar="ID", help="A hub id or a folder: is its architecture computed as transformers does?")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def doctor(model: str | None, as_json: bool) -> None:
    """Could a run start here? Looks at packages, card, disk, hub and price, and says what mends what is amiss.

    Exit code 0 if a run could start, else 3.
    """
    from tina_lite.doctor import examine
    from tina_lite.policy.model_folder import read_model_type

    width = shutil.get_terminal_size().columns
    findings: list[Finding] = []
    for finding in examine(None if model is None else read_model_type(model)):
        findings.append(finding)
        if not as_json:
            click.echo("\n".join(lines(finding, width)))
    faults = [finding.what for finding in findings if finding.level == "fault"]
    if as_json:
        click.echo(json.dumps({"ready": not faults, "findings": [asdict(finding) for finding in findings]}))
    if faults:
        raise NoRoom(f"no run could start here: mend {', '.join(faults)}")
    if not as_json:
        click.echo("a run could start here")


def lines(finding: "Finding", width: int) -> list[str]:
    """A finding as lines; the remedy below it is not broken, as it may be a command to copy.

    >>> from tina_lite.doctor import Finding
    >>> print("\\n".join(lines(Finding("hub", "note", "no answer within 4 s", "mend the network"), width=60)))
    note   hub           no answer within 4 s
           -> mend the network
    """
    indent = LEVEL_WIDTH + WHAT_WIDTH
    room = max(20, width - indent)
    first, *others = wrap(finding.text, room, break_long_words=False, break_on_hyphens=False)
    head = f"{finding.level:{LEVEL_WIDTH}}{finding.what:{WHAT_WIDTH}}{first}"
    remedy = [" " * LEVEL_WIDTH + f"-> {finding.mend}"] if finding.mend else []
    return [head, *(" " * indent + line for line in others), *remedy]

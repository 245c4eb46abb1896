"""The command tina-lite alarms."""

import click
from rich.console import Console
from rich.table import Table

from tina_lite.runs.health import RULES


@click.command("alarms")
def alarms() -> None:
    """List what a run watches for: the names of the alarms, and when each speaks.

    A recipe changes a threshold by name, or turns an alarm off: `alarms: {clipped: 0.9, entropy_high: null}`.
    """
    table = Table(box=None, pad_edge=False)
    table.add_column("alarm", no_wrap=True)
    table.add_column("threshold", justify="right", no_wrap=True)
    table.add_column("of what")
    for rule in RULES.values():
        table.add_row(rule.name, f"{rule.threshold:g}", rule.what + (" (a collapse)" if rule.is_collapse else ""))
    Console().print(table)
    print("\nmore, with what to try: tina-lite docs troubleshooting")

"""The command line: `tina-lite run recipe.yaml`. Commands are thin: parse, call, print; each has a file of its own."""

import atexit
import os
import sys
from importlib import import_module

import click

from tina_lite import __version__
from tina_lite.errors import TinaError

COMMANDS = {
    "run": "Train as a recipe says, inside its budget.",
    "recipes": "List, show or copy the recipes that ship with the package.",
}


class _LazyGroup(click.Group):
    """Loads a command's file when it is called: `--help` answers at once."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = getattr(import_module(f"tina_lite.cli.{cmd_name}"), cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="tina-lite")
def cli() -> None:
    """Teach a small language model to reason on one GPU, for a price that you set."""


def main() -> None:
    """Entry point: every error that a person can mend is one line on stderr and a documented exit code."""
    try:
        cli.main(standalone_mode=False)
        _leave()
    except click.ClickException as error:
        print(f"tina-lite: {error.format_message()}", file=sys.stderr)
        sys.exit(error.exit_code)
    except click.exceptions.Exit as error:
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        print("tina-lite: stopped at once; what was saved stays in the run folder", file=sys.stderr)
        sys.exit(130)
    except TinaError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)


def _leave() -> None:
    """End at once: taking the interpreter apart after a run takes a second that is paid for and on no bill."""
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    main()

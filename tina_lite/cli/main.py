"""The command line: `tina-lite run recipe.yaml`. Commands are thin: parse, call, print."""

import sys
from collections.abc import Sequence
from importlib import import_module

import click

from tina_lite.budget import guard
from tina_lite.cli import process
from tina_lite.cli.process import drop_everything, leave
from tina_lite.util.errors import NoRoom, TinaError
from tina_lite.version import VERSION

COMMANDS = {
    "run": "Train as a recipe says, inside its budget.",
    "resume": "Go on with a run that was stopped or killed.",
    "stop": "Ask a run to end after its step, saved and evaluated.",
    "sweep": "Run many trials, settings and seeds, under one budget.",
    "launch": "Train on a rented card, found and paid through SkyPilot.",
    "plan": "Say what a recipe will need: memory, hours, dollars.",
    "watch": "Show a run from its files: during it, after it, or told again.",
    "runs": "List run folders: state, steps, dollars, best result.",
    "eval": "Measure a run, an adapter or a model on benchmarks.",
    "chat": "Talk to what a run has trained, beside its base if asked.",
    "export": "Write what a run learnt as a merged model, GGUF, PEFT's layout, or to the hub.",
    "score": "Rewards for the completions in a file, to debug them.",
    "data": "Show what a recipe's data holds, and the first prompts.",
    "report": "Write what a run came to as an HTML page or Markdown.",
    "recipes": "List, show or copy the recipes that ship with the package.",
    "gpus": "List cards with their memory and what an hour costs.",
    "alarms": "List what a run watches for, with the thresholds.",
    "doctor": "Say whether a run could start here, and what to mend.",
    "docs": "Print a page of the documentation.",
}
GUARDED = ("run", "resume", "eval", "sweep")
"""Those that spend money, and that a watchdog ends at their limit."""
PLACES = {
    "eval": "eval:eval_command",
    "resume": "run:resume",
    "watch": "runs:watch",
    "stop": "runs:stop",
    "gpus": "plan:gpus",
}
"""Module and function of a command where they do not both bear its name."""


class _LazyGroup(click.Group):
    """Loads a command's file when it is called: `--help` answers at once."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, function = PLACES.get(cmd_name, f"{cmd_name}:{cmd_name}").partition(":")
        command: click.Command = getattr(import_module(f"tina_lite.cli.{module}"), function)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(VERSION, prog_name="tina-lite")
def cli() -> None:
    """Teach a small language model to reason on one GPU, for a price that you set."""


def main() -> None:
    """Run the command as a process: this is the entry point."""
    process.prepare()
    if sys.argv[1:2] and sys.argv[1] in GUARDED:
        guard.start(drop_everything)
    code = outcome()
    if code:
        sys.exit(code)
    leave(0)


def outcome(arguments: Sequence[str] | None = None) -> int:
    """Run a command, by default the process's own; a documented exit code.

    Every error is one line on stderr; of one that nobody foresaw the traceback is in a file that the line names.
    """
    try:
        cli.main(arguments, standalone_mode=False)
        lost = process.lost()
        if lost is not None and not isinstance(lost, BrokenPipeError):  # a reader that left has what it wanted
            raise NoRoom(f"stdout: cannot be written ({lost.strerror}); what was to go there is lost")
    except click.ClickException as error:
        print(f"tina-lite: {error.format_message()}", file=sys.stderr)
        return error.exit_code
    except click.exceptions.Exit as error:
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        print("tina-lite: stopped at once; what was saved stays in the run folder", file=sys.stderr)
        return 130
    except TinaError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    except Exception as error:
        from tina_lite.cli.process import tell

        return tell(error)
    return 0


if __name__ == "__main__":
    main()

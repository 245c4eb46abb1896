"""The command tina-lite chat (RUN | MODEL)."""

import sys
from typing import TYPE_CHECKING

import click

from tina_lite.cli.arguments import named
from tina_lite.util.errors import BadInput

if TYPE_CHECKING:
    from tina_lite.policy.model_ref import ModelRef
    from tina_lite.recipe.schema import RolloutSection
    from tina_lite.rollout.chat import Chat


@click.command()
@click.argument("name", metavar="RUN|MODEL")
@click.option("--compare", is_flag=True, help="Ask the base too, and show both answers.")
@click.option(
    "--temperature", type=click.FloatRange(min=0), metavar="X", help="0: the likeliest token; default the run's."
)
@click.option("--top-p", type=click.FloatRange(min=0, min_open=True, max=1), metavar="X", help="Default the run's.")
@click.option("--max-completion-length", type=click.IntRange(min=1), metavar="N", help="Tokens; default the run's.")
@click.option("--seed", type=int, default=0, metavar="N", help="Of the random numbers; default 0.")
@click.option("--system", metavar="TEXT", help="A system prompt; default the run's.")
@click.option("--forget", is_flag=True, help="Each question by itself: nothing said before is remembered.")
def chat(
    name: str,
    compare: bool,
    temperature: float | None,
    top_p: float | None,
    max_completion_length: int | None,
    seed: int,
    system: str | None,
    forget: bool,
) -> None:
    """Talk to what a run has trained, or to any model: thinking dim, the answer bright.

    With a pipe on stdin each line is a question of the conversation, with --forget of its own. Answers are plain text.
    """
    from rich.console import Console

    from tina_lite.console.chat import converse
    from tina_lite.policy.model_ref import resolve

    target = resolve(named(name))
    if compare and target.adapter is None:
        raise BadInput(f"{name}: is a model without an adapter; --compare wants a run or an adapter")
    sampling = _sampling(target, temperature, top_p, max_completion_length)
    if system is None and target.recipe is not None:
        system = target.recipe.data.system_prompt
    chats = {"base": _open(target.base, sampling, seed, system)} if compare else {}
    chats["trained"] = _open(target, sampling, seed, system)
    person = sys.stdin.isatty()
    if person:
        import readline  # noqa: F401  # input() then edits lines and remembers them
    console = Console(highlight=False) if person else Console(highlight=False, force_terminal=False, color_system=None)
    converse(console, _ask if person else _next_line, chats, greeting=person, forget=forget)


def _ask() -> str:
    return input("> ")


def _next_line() -> str:
    line = sys.stdin.readline()
    if not line:
        raise EOFError
    return line


def _sampling(
    target: "ModelRef", temperature: float | None, top_p: float | None, max_completion_length: int | None
) -> "RolloutSection":
    """The run's, or a recipe's defaults; what was asked for wins."""
    from tina_lite.recipe.schema import RolloutSection

    rollout = target.recipe.rollout if target.recipe is not None else RolloutSection()
    asked = {"temperature": temperature, "top_p": top_p, "max_completion_length": max_completion_length}
    return rollout.model_copy(update={name: value for name, value in asked.items() if value is not None})


def _open(target: "ModelRef", sampling: "RolloutSection", seed: int, system: str | None) -> "Chat":
    from tina_lite.policy.load import load_model
    from tina_lite.rollout.chat import Chat

    policy = load_model(target)
    return Chat(policy, sampling, seed, system, policy.context)

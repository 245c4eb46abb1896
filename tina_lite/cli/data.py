"""The command tina-lite data RECIPE."""

import json
import shutil
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tina_lite.util.errors import BadInput

if TYPE_CHECKING:
    from tina_lite.data.stats import Lengths, Survey
    from tina_lite.recipe import Recipe
    from tina_lite.recipe.schema import RolloutSection

MOST_NAMED = 100
WIDEST = 120


@click.command()
@click.argument("recipe", type=click.Path(path_type=Path))
@click.option("--set", "settings", multiple=True, metavar="FIELD=VALUE", help="Override a field of the recipe.")
@click.option("--model", metavar="ID|FOLDER", help="Override model.id, whose tokenizer makes the prompts.")
@click.option("--head", type=click.IntRange(min=0), default=3, metavar="N", help="Prompts to show; default 3.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def data(recipe: Path, settings: tuple[str, ...], model: str | None, head: int, as_json: bool) -> None:
    """Show what RECIPE's data holds: rows, what is skipped and why, lengths, the first prompts."""
    from tina_lite.console.lines import progress_bar
    from tina_lite.data.sources import problems_of
    from tina_lite.data.stats import survey
    from tina_lite.recipe import load_recipe, parse_override, with_local_paths
    from tina_lite.recipe.file import find_recipe
    from tina_lite.rewards import wants_answers, weighted_rewards

    overrides: dict[str, Any] = dict(parse_override(text) for text in settings)
    if model is not None:
        overrides["model.id"] = model
    loaded = with_local_paths(load_recipe(find_recipe(recipe), overrides))
    wanted = wants_answers(one.reward for one in weighted_rewards(loaded.rewards, loaded.folder))
    with progress_bar("reading the data") as progress:
        problems = problems_of(loaded, golds_wanted=wanted, progress=progress)
    found = survey(loaded, problems, _tokenizer(loaded), head)
    if as_json:
        click.echo(json.dumps(found.as_dict()))
    else:
        for line in _lines(found, loaded.rollout):
            click.echo(line)
    if not found.train:
        raise BadInput(f"{found.name}: no prompt is short enough for rollout.max_prompt_length; a run would not start")


def _tokenizer(recipe: "Recipe") -> Any:
    """None, said on stderr, where there is no tokenizer: rows can be counted without one."""
    from tina_lite.policy.pretrained import load_tokenizer

    try:
        return load_tokenizer(recipe.model.id, recipe.data.chat_template_kwargs)
    except BadInput as error:
        print(f"prompts are neither measured nor shown as the model sees them: {error}", file=sys.stderr)
        return None


def _lines(found: "Survey", rollout: "RolloutSection") -> Iterator[str]:
    from tina_lite.console.text import clean
    from tina_lite.data.examples import name_rows

    yield f"data:      {clean(found.name)}, {found.rows} rows"
    again = f", {found.epoch:,} prompts an epoch by their weights" if found.epoch > found.train else ""
    yield f"train:     {found.train} problems{again}" + (f"; held out: {found.held_out}" if found.held_out else "")
    yield f"skipped:   {sum(map(len, found.skipped.values())) or 'none'}"
    for reason, rows in found.skipped.items():
        text = f"  {len(rows)} {reason}: {name_rows(rows, MOST_NAMED)}"
        yield textwrap.fill(text, min(WIDEST, shutil.get_terminal_size().columns), subsequent_indent="    ")
    kinds = ", ".join(f"{kind} {count:,}" for kind, count in found.answers.items())
    yield f"answers:   {kinds}; of {sum(found.answers.values()):,} problems"
    if found.lengths is not None:
        yield f"tokens:    {_percentiles(found.lengths)} prompts; at most {rollout.max_prompt_length} are asked"
    if found.solutions is not None:
        yield f"           {_percentiles(found.solutions)} solutions; completions have {rollout.max_completion_length}"
    for warning in found.warnings:
        yield f"warning:   {clean(warning)}"
    for prompt in found.prompts:
        yield f"\n--- row {prompt.problem.index}, {len(prompt.ids)} tokens, answer {clean(prompt.problem.answer)}"
        yield clean(prompt.text)
    for problem in found.problems:
        yield f"\n--- row {problem.index}, question only, answer {clean(problem.answer)}"
        yield clean(problem.question)


def _percentiles(lengths: "Lengths") -> str:
    values = [f"{percent}% {tokens}" for percent, tokens in lengths.percentiles.items() if percent < 100]
    return f"{', '.join(values)}, longest {lengths.percentiles[100]}, of {lengths.measured:,}"

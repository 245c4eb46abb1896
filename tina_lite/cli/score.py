"""The command tina-lite score (RECIPE | --reward NAME...) FILE.jsonl [--json] [--explain]."""

import json
import shutil
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

import click
from rich.cells import cell_len

from tina_lite.console.text import clean, one_line
from tina_lite.util.errors import BadInput

if TYPE_CHECKING:
    from tina_lite.eval.score_file import Encode, ScoredRow
    from tina_lite.recipe.schema import RewardSection
    from tina_lite.rewards import WeightedReward

USAGE = "tina-lite score RECIPE FILE.jsonl, or tina-lite score --reward NAME FILE.jsonl"
NARROWEST, WIDEST = 6, 18
"""Cells of a column of rewards."""
LEFT_FOR_TEXT = 24
"""Cells of the completion's end beside the rewards, where there is room."""


@click.command()
@click.argument("words", nargs=-1, metavar="[RECIPE] FILE.jsonl")
@click.option(
    "--reward", "names", multiple=True, metavar="NAME", help="A reward, or '{name: cosine, max_length: 100}'."
)
@click.option("--completion", metavar="COLUMN", help="Where the file has the completion; a.b is field b of column a.")
@click.option("--answer", metavar="COLUMN", help="The same of the answer.")
@click.option("--prompt", metavar="COLUMN", help="The same of the prompt.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a row on stdout, and nothing else.")
@click.option("--explain", is_flag=True, help="What was taken as each answer, how both sides were read, and why.")
def score(words: tuple[str, ...], names: tuple[str, ...], as_json: bool, explain: bool, **columns: str | None) -> None:
    """Score the rows of FILE.jsonl with the rewards of RECIPE, or with those named.

    A row is a JSON object with completion and answer, and group or prompt where a reward compares the completions of a
    group; its other fields are columns. A run's samples.jsonl will do.
    """
    from tina_lite.eval.score_file import score_file
    from tina_lite.rewards import weighted_rewards

    if len(words) < (1 if names else 2) or (not names and len(words) > 2):
        raise BadInput(f"score: name the rewards and one file: {USAGE}")
    *others, file = words
    if names:
        model, rewards = None, weighted_rewards([_section(text) for text in (*names, *others)], None)
    else:
        from tina_lite.recipe import load_recipe
        from tina_lite.recipe.file import find_recipe

        recipe = load_recipe(find_recipe(Path(others[0])))
        model, rewards = recipe.model.id, weighted_rewards(recipe.rewards, recipe.folder)
    reward_names = [one.reward.name for one in rewards]
    show = _ScoreLines(explain) if as_json else _Explained(reward_names) if explain else _Table(reward_names)
    given = {field: column for field, column in columns.items() if column is not None}
    failures: Counter[str] = Counter()
    tracebacks: dict[str, str] = {}
    for rows, scores in score_file(Path(file), rewards, _encoder(model, rewards), given):
        show.rows(rows)
        failures.update(scores.failures)
        tracebacks = {**scores.tracebacks, **tracebacks}
    show.end()
    for name, count in failures.items():
        print(clean(f"reward {name} failed on {count} completions; the first:\n{tracebacks[name]}"), file=sys.stderr)


def _section(text: str) -> "RewardSection":
    """A reward as in a recipe: a name, or a mapping in braces."""
    from pydantic import ValidationError

    from tina_lite.recipe import parse_override
    from tina_lite.recipe.schema import RewardSection

    try:
        value = parse_override(f"reward={text}")[1] if text.lstrip().startswith("{") else text
        return RewardSection.model_validate(value)
    except BadInput:
        raise BadInput(f"--reward {text}: cannot be read as YAML; write it as '{{name: cosine, weight: 2}}'") from None
    except ValidationError as error:
        fault = error.errors()[0]
        raise BadInput(f"--reward {text}: {'.'.join(map(str, fault['loc']))}: {fault['msg']}") from None


def _encoder(model: str | None, rewards: "Sequence[WeightedReward]") -> "Encode":
    """The tokenizer of the recipe's model, where a reward counts tokens and it is at hand."""
    from tina_lite.eval.score_file import words_and_marks

    if not any(one.reward.takes("completion_ids") for one in rewards):
        return words_and_marks
    why = "no recipe, so no tokenizer"
    if model is not None:
        from tina_lite.policy.pretrained import load_tokenizer

        try:
            tokenizer = load_tokenizer(model)
        except BadInput as error:
            why = str(error)
        else:
            return lambda text: list(tokenizer.encode(text, add_special_tokens=False))
    print(clean(f"lengths are in words and marks where a row has no completion_ids ({why})"), file=sys.stderr)
    return words_and_marks


class _ScoreLines:
    """One JSON object a row; what is not ASCII is escaped."""

    def __init__(self, explain: bool) -> None:
        self._explain = explain

    def rows(self, rows: "Sequence[ScoredRow]") -> None:
        from tina_lite.eval.score_file import explanations

        explained = explanations(rows) if self._explain else [None] * len(rows)
        for row, explanation in zip(rows, explained, strict=True):
            shown: dict[str, object] = {"index": row.index, "rewards": dict(row.rewards), "total": row.total}
            if explanation is not None:
                shown["explain"] = asdict(explanation)
            print(json.dumps(shown))

    def end(self) -> None:
        sys.stdout.flush()


class _Explained:
    """Some lines a row: its rewards, what was taken as the answer, how both sides were read, and why they differ."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names

    def rows(self, rows: "Sequence[ScoredRow]") -> None:
        from tina_lite.eval.score_file import explanations

        for row, explanation in zip(rows, explanations(rows), strict=True):
            values = "  ".join(f"{name} {_shown(row.rewards[name])}" for name in self._names)
            print(clean(f"row {row.index}  {values}  total {_shown(row.total)}"))
            if explanation is not None:
                self._print("answer", f"{explanation.answer or '-'}  ({explanation.taken_from})", explanation.read_as)
                self._print("gold", explanation.gold or "-", explanation.gold_read_as)
                print(f"  {'why':<8}{one_line(explanation.why)}")
            else:
                print("  gold    -  (no answer in the row, so nothing to compare with)")

    def end(self) -> None:
        sys.stdout.flush()

    def _print(self, side: str, text: str, read_as: str) -> None:
        print(f"  {side:<8}{one_line(text)}\n  {'':<8}read as {one_line(read_as)}")


class _Table:
    """A line a row: its number, its rewards, their weighted sum, and how the completion ends."""

    def __init__(self, names: Sequence[str]) -> None:
        cells = shutil.get_terminal_size().columns
        longest = max(len(name) for name in names)
        fair = (cells - LEFT_FOR_TEXT) // (len(names) + 2) - 1
        self._width = min(WIDEST, max(NARROWEST, min(longest, fair)))
        self._text = max(0, cells - (self._width + 1) * (len(names) + 2))
        self._names = names
        self._values: dict[str, list[float]] = {name: [] for name in (*names, "total")}
        self._headed = False

    def rows(self, rows: "Sequence[ScoredRow]") -> None:
        if not self._headed:
            self._print(["row", *self._names, "total"], "completion ends")
            self._headed = True
        for row in rows:
            values = [*(row.rewards[name] for name in self._names), row.total]
            for kept, value in zip(self._values.values(), values, strict=True):
                kept += [] if value is None else [value]
            end = one_line(row.completion[-4 * self._text - 1 :])
            self._print([str(row.index), *map(_shown, values)], end)

    def end(self) -> None:
        means = [fmean(values) if values else None for values in self._values.values()]
        self._print(["mean", *map(_shown, means)], "")

    def _print(self, cells: Sequence[str], text: str) -> None:
        columns = " ".join(clean(cell)[: self._width].rjust(self._width) for cell in cells)
        print(f"{columns} {_last_cells(text, self._text - 1)}".rstrip())


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{round(value, 3) + 0.0:.3f}"  # no -0.000


def _last_cells(text: str, cells: int) -> str:
    """The end of a text that fits into so many cells of a terminal."""
    while text and cell_len(text) > cells:
        text = text[max(1, (cell_len(text) - cells) // 2) :]
    return text

"""`tina-lite eval` from the command line: what it is asked, what it keeps, what it says."""

import io
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from rich.console import Console

from tina_lite import load_recipe, run
from tina_lite.cli import eval as eval_module
from tina_lite.cli.eval import eval_command
from tina_lite.console.lines import EvalBar
from tina_lite.eval.manifest import EvalArgs
from tina_lite.util.errors import BadInput
from tina_lite.version import VERSION

FEW = ("--problems", "6", "--samples", "2", "--max-completion-length", "24", "--rate", "0.2")


@pytest.fixture(scope="module")
def a_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of one step, whose adapter is almost none."""
    folder = tmp_path_factory.mktemp("run")
    recipe = folder / "quick.yaml"
    recipe.write_text(
        "name: quick\nmodel: {id: builtin:tiny, compute_dtype: float32}\nlora: {r: 4, alpha: 8, dropout: 0.0}\n"
        "data: {source: arithmetic}\nrollout: {prompts_per_step: 2, num_generations: 2, max_prompt_length: 64, "
        "max_completion_length: 16}\nstop: {max_steps: 1}\n"
    )
    run(load_recipe(recipe), out=folder / "mine", rate=0.2)
    return folder / "mine"


def evaluated(*arguments: str) -> Result:
    return CliRunner().invoke(eval_command, list(arguments), catch_exceptions=False)


def test_held_out_of_a_run_whose_version_held_out_others_is_refused(a_run: Path, tmp_path: Path) -> None:
    older = tmp_path / "older"
    shutil.copytree(a_run, older)
    events = (older / "events.jsonl").read_text().replace(f'"version": "{VERSION}"', '"version": "0.1.0"')
    (older / "events.jsonl").write_text(events)
    with pytest.raises(BadInput, match=rf"trained by tina-lite 0\.1\.0, .* than {re.escape(VERSION)}"):
        evaluated(str(older), "--benchmark", "held_out", *FEW)


def test_a_run_against_its_base_and_a_rescore_that_loads_nothing(
    a_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = str(tmp_path / "result")
    first = evaluated(str(a_run), "--benchmark", "held_out", "--compare", "base", "--out", out, "--json", *FEW)
    report = json.loads(first.stdout)
    assert [one["model"] for one in report["results"]] == ["mine", "builtin-tiny"]
    page = (tmp_path / "result" / "results.md").read_text()
    assert "| held_out | mine | 6 x 2 |" in page
    assert "\n- held_out: mine and builtin-tiny cannot be told apart: " in page
    verdicts = [
        json.loads(line) for line in (tmp_path / "result/mine/held_out.verdicts.jsonl").read_text().splitlines()
    ]
    assert len(verdicts) == 6
    assert sum(map(sum, (one["right"] for one in verdicts))) / 12 == report["results"][0]["pass_at_1"]["value"]

    monkeypatch.setattr("tina_lite.eval.session.load_model", lambda *_, **__: pytest.fail("a model was loaded"))
    more = evaluated(str(a_run), "--benchmark", "held_out", "--compare", "base", "--out", out, "--json", *FEW)
    assert json.loads(more.stdout)["results"] == report["results"]
    again = json.loads(evaluated(out, "--rescore", "--json", "--rate", "0.2").stdout)
    assert (again["results"], again["stop_reason"]) == (report["results"], "finished")
    monkeypatch.setenv("COLUMNS", "20")
    narrow = " ".join(evaluated(out, "--rescore", "--rate", "0.2").stdout.split())
    share, (low, high) = 100 * report["results"][0]["pass_at_1"]["value"], report["results"][0]["pass_at_1"]["ci95"]
    assert f"model: mine problems: 6 x 2 Pass@1 [95%]: {share:.1f}% [{100 * low:.1f}, {100 * high:.1f}]" in narrow
    kept = tmp_path / "result" / "mine" / "held_out.jsonl"
    rows = kept.read_text().splitlines(keepends=True)
    two = sorted({json.loads(row)["problem"] for row in rows})[:2]
    kept.write_text("".join(row for row in rows if json.loads(row)["problem"] in two))
    part = evaluated(out, "--rescore", "--rate", "0.2")
    assert "held_out, mine: partial (rescored), 2 of 6 problems" in " ".join(part.stdout.split())
    assert "Not finished (rescored)" in (tmp_path / "result" / "results.md").read_text()


def test_a_base_alone_is_the_base_that_a_run_is_compared_with(a_run: Path, tmp_path: Path) -> None:
    shared = ("--benchmark", "held_out", "--json", *FEW)
    compared = evaluated(str(a_run), "--compare", "base", "--out", str(tmp_path / "one"), *shared)
    alone = evaluated(str(a_run), "--adapter-off", "--out", str(tmp_path / "two"), *shared)
    _, base = json.loads(compared.stdout)["results"]
    (own,) = json.loads(alone.stdout)["results"]
    assert own["model"] == "builtin-tiny"
    assert {**own, "usd": 0} == {**base, "usd": 0}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["builtin:tiny"], "^--benchmark: name what to measure on"),
        (["builtin:tiny", "--benchmark", "arithmetic", "--adapter-off"], "^--adapter-off: builtin:tiny has no adapter"),
        (["nowhere", "--rescore"], "^--rescore: nowhere holds no evaluation"),
        (["builtin:tiny", "--benchmark", "math500=none.jsonl"], r"none\.jsonl"),
        (["builtin:tiny", "--benchmark", "arithmetic", "--benchmark", "arithmetic"], "^--benchmark: two of the name"),
    ],
)
def test_what_cannot_be_done_is_one_line(arguments: list[str], said: str) -> None:
    with pytest.raises(BadInput, match=said) as error:
        evaluated(*arguments)
    assert "\n" not in str(error.value)


def test_paper_is_its_six(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[EvalArgs] = []

    def measure(asked: EvalArgs, *_: Any, **__: Any) -> None:
        seen.append(asked)
        raise BadInput("enough")

    monkeypatch.setattr(eval_module, "_measure", measure)
    with pytest.raises(BadInput, match="enough"):
        evaluated("builtin:tiny", "--benchmark", "paper", "--benchmark", "gsm8k", "--limit", "3")
    assert seen[0].benchmarks == ("aime24", "aime25", "amc23", "math500", "gpqa-diamond", "minerva", "gsm8k")
    assert seen[0].limit == 3


@pytest.mark.parametrize("text", ["", "[]", '{"model": "a"}', "{", '{"samples": "x"}'])
def test_what_was_asked_of_another_version_is_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "asked.json").write_text(text)
    with pytest.raises(BadInput, match="run the same command again without --rescore"):
        EvalArgs.read(tmp_path)


def test_the_bar_shows_completions_and_the_dollars_to_come() -> None:
    screen = io.StringIO()
    with EvalBar(Console(file=screen, force_terminal=True, color_system=None, width=110)) as bar:
        bar("mine", "math500", 10, 100, 0.10, None)
        bar("mine", "math500", 60, 100, 0.20, 1234.5)
    last = screen.getvalue()[-600:]
    assert "math500, mine" in last
    assert "1,234 tok/s" in last
    assert "$0.2000, $0.0800 to come" in last

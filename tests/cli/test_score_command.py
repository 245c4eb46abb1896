"""`tina-lite score`: rewards of rows as JSON and as a table; one clear line for each row that cannot be used."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from from_outside import imported_by
from hypothesis import given, settings
from hypothesis import strategies as st

from tina_lite.cli.score import _last_cells, score
from tina_lite.util.errors import BadInput

RIGHT, WRONG = "1+1=2\n</think>\n\\boxed{2}", "\\boxed{3}"


def file_of(folder: Path, *rows: object) -> str:
    path = folder / "rows.jsonl"
    path.write_text("".join(f"{row if isinstance(row, str) else json.dumps(row)}\n" for row in rows))
    return str(path)


def ran(*arguments: str, cells: int = 80) -> Result:
    return CliRunner().invoke(score, arguments, catch_exceptions=False, env={"COLUMNS": str(cells)})


def scored(*arguments: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in ran(*arguments, "--json").stdout.splitlines()]


def test_rows_by_name_in_order(tmp_path: Path) -> None:
    file = file_of(tmp_path, {"completion": RIGHT, "answer": "2"}, "", {"completion": WRONG, "answer": 2.0})
    assert scored("--reward", "accuracy", "--reward", "format", file) == [
        {"index": 0, "rewards": {"accuracy": 1.0, "format": 1.0}, "total": 2.0},
        {"index": 1, "rewards": {"accuracy": 0.0, "format": 0.0}, "total": 0.0},
    ]
    assert scored("--reward", "accuracy", "format", file) == scored("--reward", "accuracy", "--reward", "format", file)
    assert [row["total"] for row in scored("--reward", "{name: accuracy, weight: -2}", file)] == [-2.0, 0.0]


def test_rows_by_recipe(tmp_path: Path, quick_recipe: Path) -> None:
    file = file_of(tmp_path, {"completion": RIGHT, "answer": "2"}, {"completion": RIGHT, "answer": None})
    assert scored(str(quick_recipe), file) == [
        {"index": 0, "rewards": {"accuracy": 1.0, "format": 1.0}, "total": 3.0},
        {"index": 1, "rewards": {"accuracy": None, "format": 1.0}, "total": 1.0},
    ]


@pytest.mark.parametrize("field", ["group", "prompt", "question"])
def test_groups_are_put_together_and_rows_stay_in_order(tmp_path: Path, field: str) -> None:
    """Lengths 1, 9, 3, 3 of ids; groups a: rows 0 and 2, b: rows 1 and 3."""
    rows = [
        {"completion": text, "answer": "2", field: group, "completion_ids": [7] * tokens}
        for text, group, tokens in [(RIGHT, "a", 1), (RIGHT, "b", 9), (WRONG, "a", 3), (RIGHT, "b", 3)]
    ]
    result = scored("--reward", "length", file_of(tmp_path, *rows))
    assert [row["rewards"]["length"] for row in result] == [0.5, -0.5, -0.5, 0.5]


def test_lengths_are_the_tokenizers_or_else_words_and_marks(tmp_path: Path, quick_recipe: Path) -> None:
    reward = "{name: soft_overlong, max_length: 10, soft_punish_cache: 10}"
    file = file_of(tmp_path, {"completion": "So: 1+1=2"}, {"completion": "So: 1+1=2", "completion_ids": [7]})
    result = ran("--reward", reward, file, "--json")
    assert [json.loads(line)["total"] for line in result.stdout.splitlines()] == [-0.7, -0.1]
    assert result.stderr.startswith("lengths are in words and marks where a row has no completion_ids")
    quick_recipe.write_text(f"{quick_recipe.read_text()}rewards: [{reward}]\n")
    result = ran(str(quick_recipe), file, "--json")
    assert result.stderr == ""
    tokens = -10 * json.loads(result.stdout.splitlines()[0])["total"]
    assert tokens == pytest.approx(8), "with the space"


def test_chats_and_columns(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "def mine(completion, prompt, level):\n    return len(prompt + completion) + level\n"
    )
    chat = [{"role": "user", "content": "1+1?"}, {"role": "assistant", "content": "2"}]
    row = {"prompt": chat[:1], "completion": chat, "level": 10}
    assert scored("--reward", f"{tmp_path}/mine.py:mine", file_of(tmp_path, row))[0]["total"] == 15.0


def test_failures_are_counted_and_their_first_traceback_shown(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("def mine(completion):\n    raise ValueError('\\x1b[2J' + completion)\n")
    file = file_of(tmp_path, {"completion": "one"}, {"completion": "two"})
    result = ran("--reward", f"{{name: '{tmp_path}/mine.py:mine', on_error: -1}}", file, "--json")
    assert [json.loads(line)["total"] for line in result.stdout.splitlines()] == [-1.0, -1.0]
    assert result.stderr.startswith(
        "reward mine failed on 2 completions; the first:\nreward mine, completion 0:\nTrace"
    )
    assert result.stderr.rstrip().endswith("ValueError: ␛[2Jone")
    assert "calling.py" not in result.stderr


@pytest.mark.parametrize("cells", [40, 80, 120])
def test_the_table_fits_and_is_harmless(tmp_path: Path, cells: int) -> None:
    rows = [{"completion": text, "answer": "2"} for text in (RIGHT, "四" * 99, "\x1b[2J\x07\ud800\u202e" * 30, "")]
    result = ran("--reward", "accuracy", "format", file_of(tmp_path, *rows), cells=cells)
    lines = result.stdout.splitlines()
    assert len(lines) == len(rows) + 2
    assert all(len(line) <= cells for line in lines)
    assert lines[0].split()[:4] == [
        "row",
        *(name[: max(6, (cells - 24) // 4 - 1)] for name in ("accuracy", "format")),
        "total",
    ]
    assert lines[1].split()[:4] == ["0", "1.000", "1.000", "2.000"]
    assert lines[-1].split() == ["mean", "0.250", "0.250", "0.500"]
    assert not set("\x1b\x07\ud800\u202e") & set(result.stdout)


@given(st.text(st.sampled_from("ab四 ‍e\u0301"), max_size=40), st.integers(0, 30))
@settings(max_examples=50, deadline=None)
def test_the_end_of_a_text_fits(text: str, cells: int) -> None:
    from rich.cells import cell_len

    end = _last_cells(text, cells)
    assert text.endswith(end)
    assert cell_len(end) <= cells


@pytest.mark.parametrize(
    ("line", "reward", "message"),
    [
        ("nonsense", "format", r"rows\.jsonl:2: not JSON \(Expecting value"),
        ("[" * 100_000, "format", r"rows\.jsonl:2: not JSON"),
        ("[1]", "format", r"rows\.jsonl:2: a row is a JSON object such as"),
        ('"text"', "format", r"rows\.jsonl:2: a row is a JSON object such as"),
        ('{"answer": "2"}', "format", r"rows\.jsonl:2: no completion \(fields: answer\)"),
        ('{"completion": 3}', "format", r"rows\.jsonl:2: completion must be a text or a list of chat messages"),
        ('{"completion": []}', "format", r"rows\.jsonl:2: completion must be a text"),
        ('{"completion": "2"}', "accuracy", r"rows\.jsonl:2: no answer, which reward accuracy needs"),
        ('{"completion": "2", "answer": "2"}', "length", r"rows\.jsonl:2: no group and no prompt: reward length"),
        ('{"completion": "2", "answer": "2"}', "length_l1_max", r"rows\.jsonl:2: no target_length, which reward"),
        ('{"completion": "2", "completion_ids": "7"}', "format", r"rows\.jsonl:2: completion_ids must be a list"),
    ],
)
def test_a_bad_row_is_named_before_anything_is_scored(tmp_path: Path, line: str, reward: str, message: str) -> None:
    good = {"completion": "2", "answer": "2", "group": 1, "target_length": 100, "completion_ids": [7]}
    with pytest.raises(BadInput, match=message) as caught:
        ran("--reward", reward, file_of(tmp_path, good, line, good))
    assert "\n" not in str(caught.value)


def test_many_bad_rows_are_named_in_part(tmp_path: Path) -> None:
    with pytest.raises(BadInput) as caught:
        ran("--reward", "format", file_of(tmp_path, *["x"] * 9))
    lines = str(caught.value).splitlines()
    assert len(lines) == 6
    assert lines[-1].endswith("rows.jsonl: 4 more rows that cannot be used")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "name the rewards and one file"),
        (["rows.jsonl"], "name the rewards and one file"),
        (["a", "b", "c"], "name the rewards and one file"),
        (["--reward", "format"], "name the rewards and one file"),
        (["--reward", "format", "none.jsonl"], r"none\.jsonl: cannot be read \(No such file"),
        (["--reward", "fromat", "none.jsonl"], "did you mean format"),
        (["--reward", "{name: cosine", "none.jsonl"], "cannot be read as YAML"),
        (["--reward", "{name: cosine, weight: x}", "none.jsonl"], "weight: Input should be a valid number"),
        (["--reward", "{name: cosine, max_length: 0}", "none.jsonl"], "max_length is 0"),
        (["--reward", "regex", "none.jsonl"], "it needs a pattern"),
        (["--reward", "{name: regex, pattern: '('}", "none.jsonl"], "does not compile"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_line(arguments: list[str], message: str) -> None:
    with pytest.raises(BadInput, match=message) as caught:
        ran(*arguments)
    assert "\n" not in str(caught.value)


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no row in it"):
        ran("--reward", "format", file_of(tmp_path, ""))


EXPLAINED = [
    (r"so \boxed{5 s}", "5 cm", "the last box", "the units differ: s for cm"),
    (r"\boxed{3} and \boxed{5}", "5, 3, 7", "the boxes of the last statement", "math-verify finds them different"),
    ("The answer is 10 eggs.", "6", "what the text announces", "another number"),
    (r"\boxed{2018}", "2024-05-01", "the last box", "the text '2024-05-01' is wanted"),
    ("<answer>Paris</answer>", "Paris", "the last <answer> tags", "they are the same"),
    ("hm", ["3", "4"], "nowhere", "no answer was found in the text"),
    ("so 7 or 4", ["3", "4"], "the last number of the text", "they are the same"),
    (r"\boxed{\frac{\sqrt{3}}{2}}", r"\sqrt{3}/2", "the last box", "math-verify finds them equal"),
    (r"\boxed{x+1}", "x", "the last box", "math-verify finds them different"),
    (r"\boxed{x}", r"\frac{1}{", "the last box", "the gold cannot be read as an answer, so there is no opinion"),
]


def test_explained_as_json(tmp_path: Path) -> None:
    file = file_of(tmp_path, *({"completion": text, "answer": gold} for text, gold, _, _ in EXPLAINED))
    rows = scored("--reward", "accuracy", file, "--explain")
    found = [(row["explain"]["taken_from"], row["explain"]["why"]) for row in rows]
    assert found == [(source, why) for _, _, source, why in EXPLAINED]


def test_explained_for_people(tmp_path: Path) -> None:
    file = file_of(
        tmp_path, {"completion": r"so \boxed{5 s}", "answer": "5 cm"}, {"completion": "5\x1b[2J", "answer": None}
    )
    assert ran("--reward", "accuracy", "--explain", file).stdout.splitlines() == [
        "row 0  accuracy 0.000  total 0.000",
        "  answer  5 s  (the last box)",
        "          read as the number 5, in s",
        "  gold    5 cm",
        "          read as the number 5, in cm",
        "  why     the units differ: s for cm",
        "row 1  accuracy -  total 0.000",
        "  gold    -  (no answer in the row, so nothing to compare with)",
    ]


def test_a_runs_samples_give_the_runs_own_rewards(tmp_path: Path, quick_recipe: Path) -> None:
    from tina_lite.launch import run
    from tina_lite.recipe import load_recipe

    rewards = ["accuracy", "format", "{name: cosine, max_length: 80}", "length"]
    recipe = load_recipe(
        quick_recipe, {"rewards": ["accuracy", "format", {"name": "cosine", "max_length": 80}, "length"]}
    )
    run(recipe, out=tmp_path / "out")
    kept = [json.loads(line) for line in (tmp_path / "out" / "samples.jsonl").read_text().splitlines()]
    arguments = [word for reward in rewards for word in ("--reward", reward)]
    found = scored(*arguments, str(tmp_path / "out" / "samples.jsonl"))
    assert [row["rewards"] for row in found] == [row["rewards"] for row in kept]
    assert len(found) > 8


def test_it_starts_without_what_is_heavy(tmp_path: Path) -> None:
    file = file_of(tmp_path, {"completion": RIGHT, "answer": "2"})
    program = (
        "from click.testing import CliRunner\nfrom tina_lite.cli.score import score\n"
        f"assert CliRunner().invoke(score, ['--reward', 'accuracy', '--explain', {file!r}]).exit_code == 0"
    )
    assert imported_by(program, "torch", "transformers", "datasets", "sympy", "numpy") == []

"""Problems through reasoning-gym and through `datasets`, both without a network."""

import json
import os
import subprocess
import sys
from decimal import getcontext
from pathlib import Path
from typing import Any

import pytest
from sections import load

from tina_lite.data import load_problems
from tina_lite.data.benchmarks import load_benchmark
from tina_lite.data.examples import Selection
from tina_lite.data.files import load_rows
from tina_lite.data.readers import DatasetRows
from tina_lite.recipe.schema import DataSection
from tina_lite.util.errors import BadInput

# Others of its modules warn about themselves while they are imported.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::SyntaxWarning", "ignore::FutureWarning")


def test_a_gym_task_with_its_parameters() -> None:
    pytest.importorskip("reasoning_gym")
    params = {"size": 5, "min_terms": 2, "max_terms": 2}
    problems = load("reasoning_gym:chain_sum", params=params, seed=1)
    again = load("reasoning_gym:chain_sum", params=params, seed=1, limit=3)
    assert (len(problems), len(again), problems.name) == (5, 3, "chain_sum")
    assert [problem.question for problem in again] == [problem.question for problem in problems[:3]]
    assert problems[0].columns["metadata"]["num_terms"] == 2
    assert int(problems[0].answer) == sum(
        map(int, problems[0].columns["metadata"]["expression"].replace("- ", "-").replace("+ ", "").split())
    )
    other = load("reasoning_gym:chain_sum", params=params, seed=2)
    assert [problem.question for problem in other] != [problem.question for problem in problems]


def test_a_task_leaves_the_precision_of_the_process_alone() -> None:
    pytest.importorskip("reasoning_gym")
    before = getcontext().prec
    assert load("reasoning_gym:decimal_arithmetic", params={"size": 2}, seed=1)[1].question
    assert getcontext().prec == before


@pytest.mark.parametrize(
    ("task", "params", "message"),
    [
        ("chain_sums", {}, r"no task 'chain_sums'; did you mean chain_sum\?"),
        ("zzzz", {}, r"no task 'zzzz'; there are \d+: "),
        ("chain_sum", {"min_tems": 2}, r"no parameter 'min_tems'; did you mean min_terms\?"),
        ("chain_sum", {"min_terms": 5, "max_terms": 2}, "reasoning-gym refuses"),
    ],
)
def test_bad_gym_input(task: str, params: dict[str, object], message: str) -> None:
    pytest.importorskip("reasoning_gym")
    with pytest.raises(BadInput, match=message):
        load(f"reasoning_gym:{task}", params=params)


def stand_in_for_the_hub(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Whatever data set is asked for, `datasets` loads the files `SPLIT.jsonl` of this folder."""
    datasets = pytest.importorskip("datasets")
    real, kept = datasets.load_dataset, str(folder / "cache")
    files = {path.stem: str(path) for path in folder.glob("*.jsonl")}

    def load_dataset(repo: str, *, name: None, revision: None, **named: Any) -> Any:
        return real("json", data_files=files, cache_dir=kept, **named)

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)


def test_a_data_set_as_the_hub_gives_it() -> None:
    datasets = pytest.importorskip("datasets")
    rows = [{"problem": "a?", "solution": "so \\boxed{3}", "level": 2}, {"problem": "b?", "solution": "", "level": 1}]
    table = DatasetRows(datasets.Dataset.from_list(rows))
    problems = load_rows(table, "sums", "them/sums", Selection(DataSection(source="them/sums")))
    assert (problems.name, len(problems), problems.skipped) == ("sums", 1, {"no answer": 1})
    assert (problems[0].question, problems[0].answer, problems[0].columns["level"]) == ("a?", "3", 2)
    with pytest.raises(BadInput, match=r"no column 'gold' in them/sums \(columns: problem, solution, level\)"):
        load_rows(table, "sums", "them/sums", Selection(DataSection(source="them/sums", answer="gold")))


def test_no_hub_gives_one_line_that_says_what_to_do() -> None:
    program = (
        "from tina_lite.data import DataSection, load_problems\n"
        "load_problems(DataSection(source='GAIR/LIMR', split='train'))"
    )
    offline = {**os.environ, "HF_HUB_OFFLINE": "1"}
    done = subprocess.run([sys.executable, "-c", program], env=offline, capture_output=True, text=True, check=False)
    message = done.stderr.strip().splitlines()[-1]
    assert "data.source: could not load the data set 'GAIR/LIMR', split 'train'" in message
    assert "no network; to use a local file: --set data.source=FILE.jsonl" in message


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize(
    ("splits", "taken"), [(["train", "test"], "test"), (["train"], "train"), (["train", "validation"], "train")]
)
def test_a_benchmark_of_the_hub_is_its_test_split(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, splits: list[str], taken: str, streaming: bool
) -> None:
    for split in splits:
        (tmp_path / f"{split}.jsonl").write_text(json.dumps({"question": f"{split}?", "answer": "1"}) + "\n")
    stand_in_for_the_hub(monkeypatch, tmp_path)
    given = {"streaming": streaming}
    assert load_benchmark("me/mine", limit=1, given=given).problems[0].question == f"{taken}?"
    assert load_problems(DataSection(source="me/mine", limit=1, **given))[0].question == "train?"


def test_a_hub_data_set_without_a_split_to_ask_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "validation.jsonl").write_text(json.dumps({"question": "a?", "answer": "1"}) + "\n")
    stand_in_for_the_hub(monkeypatch, tmp_path)
    with pytest.raises(BadInput, match=r"me/mine has no split 'test'; it has: validation"):
        load_benchmark("me/mine")

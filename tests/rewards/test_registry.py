"""Rewards by name, from modules and files; settings; TRL's functions."""

from pathlib import Path

import pytest

from tina_lite.rewards import Reward, WeightedReward, known_rewards, resolve, reward, score_rows
from tina_lite.rewards.call import chat
from tina_lite.util.errors import BadInput

PAPER = ("accuracy", "cosine", "format", "length", "length_l1_exact", "length_l1_max", "reasoning_steps")

MINE = '''
from dataclasses import dataclass

@dataclass
class Limit:
    words: int = 2

def brief(completions, **kwargs):
    """As written for TRL."""
    return [float(len(c[0]["content"].split()) <= Limit().words) for c in completions]

def matches(prompts, completions, solution, *, bonus: float = 0.0):
    return [float(s in c[0]["content"]) + bonus for c, s in zip(completions, solution)]

async def later(completions, **kwargs):
    return [1.0] * len(completions)

number = 3
'''


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "mine.py").write_text(MINE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def columns(*texts: str, **others: list[object]) -> dict[str, list[object]]:
    return {"completions": list(chat(*texts)), "prompts": list(chat(*["?"] * len(texts), role="user")), **others}


def test_the_papers_rewards_are_registered() -> None:
    assert {*PAPER, "repetition_penalty", "tag_count"} <= set(known_rewards())
    assert resolve("accuracy").name == "accuracy"


def test_an_unknown_name_gets_the_nearest_and_the_list() -> None:
    with pytest.raises(
        BadInput,
        match=r"'acuracy'; did you mean accuracy\? \(known: accuracy, boxed, choice, cosine, exact_match, format",
    ):
        resolve("acuracy")


def test_a_name_is_registered_for_one_function() -> None:
    @reward("twice")
    def one(completions: object) -> list[float]:
        return []

    assert reward("twice")(one) is one
    with pytest.raises(BadInput, match="taken by"):
        reward("twice")(lambda completions: [])


@pytest.mark.parametrize("place", ["mine.py:brief", "mine:brief"])
def test_a_function_of_the_users(mine: Path, place: str) -> None:
    found = resolve(place)
    assert found.name == "brief"
    assert found(columns("one two", "one two three", answer=["1", "2"])) == [1.0, 0.0]


def test_a_file_beside_the_recipe(mine: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    first, second = resolve("mine.py:brief", {}, mine), resolve("mine.py:brief", {}, mine)
    assert first.function is second.function
    with pytest.raises(BadInput, match=r"no file mine\.py in .*elsewhere"):
        resolve("mine.py:brief")


def test_only_what_a_function_takes_is_passed(mine: Path) -> None:
    found = resolve("mine.py:matches", {"bonus": 0.5})
    given = columns("a 1", "b 2", solution=["1", "1"], bonus=[9, 9], level=[1, 2])
    assert found(given) == [1.5, 0.5]
    assert found.missing(columns("a")) == ["solution"]


def test_a_setting_never_comes_from_a_column_of_its_name() -> None:
    seen = resolve("cosine", {"max_length": 10})
    ids = [[0] * 10]
    assert seen(columns("\\boxed{2}", completion_ids=ids, answer=["2"], wrong_long=[5], max_length=[1])) == [0.5]


def test_async_functions_are_waited_for_even_inside_a_running_loop(mine: Path) -> None:
    import asyncio

    found = resolve("mine.py:later")

    async def notebook() -> object:
        return found(columns("a", "b"))

    assert found(columns("a")) == [1.0]
    assert asyncio.run(notebook()) == [1.0, 1.0]


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("mine.py:breif", "breif is not there; did you mean brief"),
        ("mine.py:number", "number is not a function"),
        ("nowhere.py:f", r"no file nowhere\.py"),
        ("no_such_module:f", "no module 'no_such_module'"),
        ("broken.py:f", r"broken\.py does not load: SyntaxError: .*broken\.py:2"),
        ("raises.py:f", r"raises\.py does not load: ZeroDivisionError: division by zero \(.*raises\.py:2\)"),
        ("leaves.py:f", r"leaves\.py does not load: SystemExit: bye \(.*leaves\.py:2\)"),
        ("needs.py:f", r"needs\.py does not load: ModuleNotFoundError: No module named 'not_there_at_all'"),
    ],
)
def test_what_does_not_load(mine: Path, place: str, message: str) -> None:
    (mine / "broken.py").write_text("x = 1\ndef f(:\n")
    (mine / "raises.py").write_text("x = 1\ny = 1 / 0\n")
    (mine / "leaves.py").write_text("x = 1\nraise SystemExit('bye')\n")
    (mine / "needs.py").write_text("import not_there_at_all\n")
    with pytest.raises(BadInput, match=message) as caught:
        resolve(place)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"max_lenght": 5}, r"unknown parameter 'max_lenght'; did you mean max_length\? \(allowed: max_length: int"),
        ({"max_length": "long"}, "max_length is 'long'; it must be int"),
        ({"max_length": 5.5}, r"max_length is 5\.5; it must be int"),
        ({"max_length": True}, "max_length is True; it must be int"),
        ({"wrong_long": None}, "wrong_long is None; it must be float"),
    ],
)
def test_settings_are_checked(params: dict[str, object], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        resolve("cosine", params)


def test_settings_that_fit() -> None:
    assert isinstance(resolve("cosine", {"max_length": 10, "correct_short": 2}), Reward)
    with pytest.raises(BadInput, match="it takes none"):
        resolve("tag_count", {"strict": True})


VERL = """
def compute_score(data_source, solution_str, ground_truth, extra_info=None):
    return {"score": float(ground_truth in solution_str), "data": data_source, "extra": extra_info}

def bare(data_source, solution_str, ground_truth, extra_info):
    return len(solution_str) + extra_info.get("bonus", 0) + (data_source == "sums")

class Counter:
    def __init__(self):
        self.calls = 0

    def __call__(self, completion):
        self.calls += 1
        return float(self.calls)

counter = Counter()
"""


def test_the_functions_of_verl_work_unchanged(tmp_path: Path) -> None:
    (tmp_path / "verl.py").write_text(VERL)
    given = columns("so 2", "3", answer=["2", "2"])
    found = resolve(f"{tmp_path}/verl.py:compute_score")
    scores = score_rows(given, [WeightedReward(found, 1.0)], [slice(0, 2)])
    assert scores.groups[0].rewards["compute_score"] == (1.0, 0.0)
    assert resolve(f"{tmp_path}/verl.py:bare")(given) == [4, 1]
    own = {**given, "data_source": ["sums", "else"], "extra_info": [{"bonus": 10}, {}]}
    assert resolve(f"{tmp_path}/verl.py:bare")(own) == [15, 1]


def test_an_instance_keeps_its_state_between_calls(tmp_path: Path) -> None:
    (tmp_path / "verl.py").write_text(VERL)
    counter = resolve(f"{tmp_path}/verl.py:counter")
    assert [counter(columns("a", "b")), counter(columns("a"))] == [[1.0, 2.0], [3.0]]


@pytest.mark.parametrize(
    ("reward_name", "params", "message"),
    [
        ("format", {"variant": "thnk"}, "variant is 'thnk'; it must be one of think, think_answer, boxed"),
        ("choice", {"letters": "AA"}, "different letters"),
    ],
)
def test_values_that_make_no_sense(reward_name: str, params: dict[str, object], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        resolve(reward_name, params)

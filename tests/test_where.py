"""Conditions on rows: what they choose, and that nothing in them is ever run."""

import random
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tina_lite.util.errors import BadInput
from tina_lite.util.where import Where

ROW = {"level": 3, "text": "5", "source": "math", "ok": True, "none": None, "info": {"n": 7}, "json": '{"n": 8}'}


@pytest.mark.parametrize(
    ("condition", "chosen"),
    [
        ("level >= 3", True),
        ("level > 3", False),
        ("2 < level <= 3", True),
        ("level == 3.0", True),
        ("level == -3", False),
        ("text >= 4.5", True),
        ("text == 5", True),
        ("text in [4, 5]", True),
        ("source == 'math' and level < 4", True),
        ("source == 'gsm8k' or not ok", False),
        ("source in ('math', 'aime')", True),
        ("source not in ['math']", False),
        ("'at' in source", True),
        ("ok", True),
        ("ok == True", True),
        ("none >= 1", False),
        ("none is None", True),
        ("none != None", False),
        ("absent == None", True),
        ("info.n == 7 and json.n == 8", True),
        (r"source != '\frac'", True),
    ],
)
def test_what_it_chooses(condition, chosen):
    assert Where(condition)(ROW) is chosen


@pytest.mark.parametrize(
    "condition",
    [
        "__import__('os').system('touch made')",
        "level ** 9 ** 9",
        "level + 1 > 2",
        "[x for x in source]",
        "(lambda: 1)()",
        "source[0] == 'm'",
        "f'{level}'",
        "level if ok else 2",
        "level := 3",
        "b'x' == source",
        "level >=",
        "",
        "(" * 5000,
        "level == " + "9" * 3000,
    ],
)
def test_what_it_refuses(condition, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadInput, match=r"data\.where: ") as caught:
        Where(condition)(ROW)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_values_without_an_order_are_named():
    with pytest.raises(BadInput, match=r"data\.where: level >= 3: 'Level 5' and 3 have no order"):
        Where("level >= 3")({"level": "Level 5"})


@given(st.integers(), st.integers())
def test_numbers_compare_as_numbers_however_they_are_written(left, right):
    assert Where("a < b")({"a": left, "b": right}) is (left < right)
    assert Where(f"a == {right}")({"a": left}) is (left == right)
    small = abs(left) < 2**53 and abs(right) < 2**53
    assert not small or Where(f"a < {right}")({"a": str(left)}) is (left < right)


def test_the_columns_it_asks_for():
    assert Where("a.b > 1 and c == 'd' and a.b < 3").columns == ("a.b", "c")


FUZZ = 10_000
PIECES = (
    *"level source meta.kind x _ __import__ __class__ __builtins__ lambda eval exec open os system print self".split(),
    *"import yield await f'{level}' 'a' \"\"\" ' b'x' \\ # 3 -1 1e999 1_000 0x10 3j None True ... 10**10**10 é".split(),
    *"( ) [ ] { } , : := . = * ** @ % ~ - + if else for < <= > >= == != is in not and or".split(),
    *("\n", "\x00", "\ud800", "'a'*10**9", "not in"),
)
DANGER = ("exec", "import", "open", "os.", "subprocess.", "socket.", "ctypes.", "builtins.", "code.__new__", "sys.")


class Watch:
    """Sees what Python does on behalf of its tests, by its audit events (PEP 578)."""

    def __init__(self) -> None:
        self.on = False
        self.seen: list[str] = []
        sys.addaudithook(self)

    def __call__(self, event: str, _: object) -> None:
        if self.on and event.startswith(DANGER):
            self.seen.append(event)


def test_no_string_executes_anything_and_each_bad_one_is_one_line():
    dice, watch = random.Random(0), Watch()
    found: list[bool] = []
    said: list[str] = []
    rows = [{"level": 3, "source": "a", "meta": {"kind": "x"}, "x": [1]}, {"level": None, "source": "2"}]
    for _ in range(FUZZ):
        text = dice.choice((" ", "")).join(dice.choices(PIECES, k=dice.randint(1, 9)))
        watch.on = True
        try:
            chosen = Where(text)
            found += [chosen(row) for row in rows]
        except BadInput as error:
            said.append(str(error))
        finally:
            watch.on = False
    assert watch.seen == []
    assert not any("\n" in line for line in said)
    assert {type(one) for one in found} == {bool}
    assert FUZZ / 50 < len(found) / len(rows) < FUZZ / 2, "of the strings some can be read, and some cannot"


def test_the_watch_sees_what_is_executed():
    watch = Watch()
    watch.on = True
    eval("__import__('os').getcwd()")
    watch.on = False
    assert "exec" in watch.seen

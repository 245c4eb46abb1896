"""The paper's text rewards against values worked by hand."""

import pytest

from tina_lite.rewards.builtin import format_reward, reasoning_steps, repetition_penalty, tag_count
from tina_lite.rewards.call import chat
from tina_lite.util.errors import BadInput


@pytest.mark.parametrize(
    ("text", "format_value", "tags_value"),
    [
        ("1+1=2\n</think>\n2", 1.0, 0.5),
        ("<think>\n1+1=2\n</think>\n2", 1.0, 1.0),
        ("\n</think>\n", 1.0, 0.5),
        ("", 0.0, 0.0),
        ("2", 0.0, 0.0),
        ("a</think>\n2", 0.0, 0.0),
        ("a\n</think>2", 0.0, 0.0),
        ("a\n</think>", 0.0, 0.0),
        ("a\n</think>\nb\n</think>\n2", 0.0, 0.0),
        ("a\n</think>\n</think>\n2", 0.0, 0.0),
        ("<think>\na\n</think>\n2\n</think>\n", 0.0, 0.5),
        ("<think>\n<think>\na\n</think>\n2", 1.0, 0.5),
        ("<think>a\n</think>\n2", 1.0, 0.5),
        ("<think>\nnever closed", 0.0, 0.5),
        ("a\r\n</think>\r\n2", 0.0, 0.0),
    ],
)
def test_tags(text: str, format_value: float, tags_value: float) -> None:
    assert format_reward(chat(text)) == [format_value]
    assert tag_count(chat(text)) == [tags_value]


@pytest.mark.parametrize(
    ("text", "hits"),
    [
        ("", 0),
        ("34", 0),
        ("Step 1: add", 1),
        ("step 1: add", 0),
        ("Step one: add", 0),
        ("1. add\n2. halve", 2),
        ("It is 1.5 and 2. So", 0),
        ("- add\n* halve", 2),
        ("3 - 2 * 1", 0),
        ("First, add. Second, halve.", 2),
        ("First add, second halve", 0),
        ("Next, Finally, Step 12: done", 3),
        ("Step 1: First, add", 2),
        ("1. a\n2. b\n3. c\n4. d\n5. e", 5),
    ],
)
def test_reasoning_steps(text: str, hits: int) -> None:
    assert reasoning_steps(chat(text)) == [min(1.0, hits / 3)]


@pytest.mark.parametrize(
    ("text", "unique", "total"),
    [
        ("", 1, 1),
        ("a", 1, 1),
        ("a b", 1, 1),
        ("a b c", 1, 1),
        ("a b c d", 2, 2),
        ("a a a", 1, 1),
        ("a a a a", 1, 2),
        ("A a A a", 1, 2),
        ("a b a b a", 2, 3),
        ("a b c a b c", 3, 4),
        ("a b c d a b c d", 4, 6),
        ("a\nb  c\ta b c", 3, 4),
    ],
)
def test_repetition_penalty(text: str, unique: int, total: int) -> None:
    assert repetition_penalty(chat(text)) == [pytest.approx(unique / total - 1)]


def test_repetition_settings() -> None:
    assert repetition_penalty(chat("a a a"), ngram_size=1, max_penalty=-0.3) == [pytest.approx(-0.2)]
    with pytest.raises(BadInput, match="ngram_size is 0"):
        repetition_penalty(chat("a"), ngram_size=0)
    with pytest.raises(BadInput, match="0 or less"):
        repetition_penalty(chat("a"), max_penalty=1.0)

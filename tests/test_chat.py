"""A chat streams what the sampler would have drawn, remembers it, and tells thinking from answering."""

from types import SimpleNamespace

import pytest
import torch
from fakes import FakePolicy
from hypothesis import given
from hypothesis import strategies as st
from sections import rollout_section

from tina_lite.rollout.chat import CLOSE, OPEN, Chat, parts, pieces, stream, until_stopped
from tina_lite.rollout.sampler import Sampler
from tina_lite.rollout.sampling import random_numbers
from tina_lite.util.errors import BadInput


def joined(found, thinking):
    return "".join(part.text for part in found if part.thinking == thinking)


@given(st.lists(st.sampled_from([OPEN, CLOSE, "<th", "ink>", "</", "1+1", " < 2 ", "\n"])), st.booleans())
def test_parts_neither_lose_nor_add_text_and_do_not_depend_on_where_it_was_cut(texts, thinking):
    whole = "".join(texts)
    found = list(parts(texts, thinking))
    assert "".join(part.text for part in found) == whole
    for cut in (list(whole), [whole]):
        again = list(parts(cut, thinking))
        assert joined(again, True) == joined(found, True)


def test_thinking_ends_with_its_tag_and_may_begin_again():
    found = list(parts(["a</think>b<think>c"], thinking=True))
    assert joined(found, True) == "a</think><think>c"
    assert joined(found, False) == "b"


class ByteTokenizer:
    """Token i is the byte i; some characters take several."""

    chat_template = None

    def decode(self, ids, skip_special_tokens):
        assert skip_special_tokens
        return bytes(ids).decode(errors="replace")

    def encode(self, text, add_special_tokens):
        return list(text.encode())


@given(st.text())
def test_pieces_are_the_text_and_no_character_is_broken(text):
    found = list(pieces(ByteTokenizer(), text.encode(errors="replace")))
    assert "".join(found) == text.encode(errors="replace").decode()
    assert all(piece and (not piece.endswith("\ufffd") or "\ufffd" in text) for piece in found)


def test_what_is_no_text_at_all_is_shown_in_the_end():
    assert list(pieces(ByteTokenizer(), [0x41, 0xF0, 0x9F])) == ["A", "\ufffd"]


def test_a_stop_string_across_pieces_ends_the_answer():
    assert list(until_stopped(["so ", "</an", "swer>", " more"], ["</answer>"])) == ["so ", "</an", "swer>"]
    assert list(until_stopped(["a", "b"], [])) == ["a", "b"]


def table():
    """Logits after each token: 5 tokens, 0 ends."""
    return torch.randn(5, 5, generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_a_stream_is_what_the_sampler_draws_from_the_same_numbers(temperature):
    from fakes import prompt

    policy, sampling = FakePolicy(table()), rollout_section(temperature, 12)
    for problem in range(8):
        [group] = Sampler(policy, sampling, seed=4, kv_tokens=100).rollout([prompt(problem, (2,))], 1, 7).groups
        streamed = tuple(stream(policy, (2,), sampling, random_numbers(4, 7, problem, 0, 12)))
        assert streamed == group.completions[0].ids


def byte_chat(context=100, max_completion_length=10, system=None):
    """A model over bytes that always goes on with the next letter, and ends with 'e'."""
    rows = torch.full((256, 256), -9.0)
    rows[torch.arange(256), (torch.arange(256) + 1) % 256] = 9.0
    rows[:, ord("a")] += 99.0 * (torch.arange(256) == ord("\n"))
    policy = FakePolicy(rows)
    policy.tokenizer = ByteTokenizer()
    policy.stop_ids = frozenset({ord("e")})
    return Chat(policy, rollout_section(0.0, max_completion_length), 0, system, context)


def test_what_was_said_is_part_of_the_next_prompt():
    chat = byte_chat()
    assert "".join(part.text for part in chat.ask("x")) == "abcde"
    assert chat._prompt("y")[0] == "x\nabcde\ny\n"
    chat.start_over()
    assert chat._prompt("y")[0] == "y\n"


def test_an_answer_that_was_cut_short_is_remembered_as_far_as_it_went():
    chat = byte_chat()
    answer = chat.ask("x")
    assert next(answer).text == "a"
    answer.close()
    assert [message["content"] for message in chat.said] == ["x", "a"]


def test_the_oldest_is_forgotten_when_the_context_is_full_and_the_system_prompt_is_not():
    chat = byte_chat(context=40, system="be good")
    for question in ("first", "second"):
        list(chat.ask(question))
    assert chat.forgotten == 0
    text, ids, count = chat._prompt("third")
    assert text == "be good\nsecond\nabcde\nthird\n"
    assert chat.forgotten == 2
    assert len(ids) + count <= 40


def test_a_question_longer_than_the_context_is_refused_and_not_remembered():
    chat = byte_chat(context=40)
    with pytest.raises(BadInput, match="the question is too long: 61 tokens of a context of 40"):
        list(chat.ask("x" * 60))
    assert chat.said == []


def test_where_the_template_opens_thinking_the_answer_begins_with_it():
    chat = byte_chat()

    def apply(messages, **options):
        return "".join(message["content"] for message in messages) + "<think>\n"

    chat.policy.tokenizer = SimpleNamespace(
        chat_template="yes", apply_chat_template=apply, encode=ByteTokenizer().encode, decode=ByteTokenizer().decode
    )
    assert joined(chat.ask("x"), True) == "abcde"
    assert chat.said[1]["content"] == "<think>\nabcde"

"""How rows are packed: nothing is lost, nothing is larger than the budget, padding counted."""

from hypothesis import given, settings
from hypothesis import strategies as st

from tina_lite.train.batching import Packer, TrainExample
from tina_lite.util.records import Completion, Problem, Prompt


def group(number: int, prompt: int, completions: list[int]) -> list[TrainExample]:
    asked = Prompt(Problem(number, "?", "!", {}), "?", (1,) * prompt)
    rows = [TrainExample(asked, Completion((2,) * length, (0.0,) * length, "", "stop"), 1.0) for length in completions]
    return sorted(rows, key=lambda row: -row.tokens)


def padded(batch: list[TrainExample], shares_prompts: bool) -> int:
    prompts = {id(row.prompt): len(row.prompt.ids) for row in batch}
    if not shares_prompts:
        return len(batch) * max(row.tokens for row in batch)
    return len(prompts) * max(prompts.values()) + len(batch) * max(len(row.completion.ids) for row in batch)


lengths = st.integers(1, 60)
groups = st.lists(st.tuples(lengths, st.lists(lengths, min_size=1, max_size=6)), min_size=1, max_size=6)


@settings(max_examples=200)
@given(drawn=groups, budget=st.integers(1, 300), shares_prompts=st.booleans())
def test_no_batch_is_larger_than_the_budget_but_one_of_a_single_row(drawn, budget, shares_prompts):
    packed = Packer(budget, shares_prompts)
    rows = [group(number, prompt, completions) for number, (prompt, completions) in enumerate(drawn)]
    for one in rows:
        packed.add(one)
    assert [row for batch in packed.batches for row in batch] == [row for one in rows for row in one]
    assert all(len(batch) == 1 or padded(batch, shares_prompts) <= budget for batch in packed.batches)
    for one in rows:
        if padded(one, shares_prompts) <= budget:
            assert any(set(map(id, one)) <= set(map(id, batch)) for batch in packed.batches), "a group was torn apart"


def test_a_long_row_does_not_pad_short_ones():
    """1900 tokens and 15 x 60 once took the attention of 16 x 1900."""
    packed = Packer(4096, shares_prompts=True)
    packed.add(group(0, 20, [1900, *[60] * 15]))
    assert [len(batch) for batch in packed.batches] == [2, 14]

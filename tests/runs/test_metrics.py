from tina_lite.runs.metrics import step_samples
from tina_lite.util.records import Completion, Group, Problem, Prompt, ScoredGroup


def a_group(index: int, totals: tuple[float, ...], lengths: tuple[int, ...]) -> ScoredGroup:
    prompt = Prompt(Problem(index, f"question {index}", "4", {}), "text", (1, 2))
    completions = tuple(
        Completion((7,) * length, (0.0,) * length, f"{index}-{place}", "stop") for place, length in enumerate(lengths)
    )
    mean = sum(totals) / len(totals)
    return ScoredGroup(Group(prompt, completions), {"accuracy": totals}, totals, tuple(t - mean for t in totals))


def test_shown_are_the_best_of_a_group_that_teaches_and_the_most_typical_of_all() -> None:
    silent, teaching = a_group(0, (1.0, 1.0), (9, 30)), a_group(1, (0.0, 2.0), (4, 5))
    best, typical, kept = step_samples([silent, teaching])
    assert best.completion == "1-1"
    assert typical.completion == "0-0", "the mean reward is 1 and the mean length 12"
    assert [row["completion"] for row in kept] == ["1-0", "1-1"]

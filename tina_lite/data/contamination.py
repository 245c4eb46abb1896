"""Which problems to train on repeat one of a benchmark that is evaluated."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from tina_lite.data.examples import name_rows
from tina_lite.data.problem_set import question_key

GRAM = 13
"""Words."""
STRIDE = 7
"""Every 13 words in a row hold STRIDE words in a row that start at a multiple of STRIDE: these are looked up first."""
SHARE = 0.4
"""Of a benchmark problem's runs. Among LIMR's problems, those with more of one of MATH500's are variants of it."""
WORD = re.compile(r"\w+")

BenchmarkProblem = tuple[str, int]


class Overlap:
    """Watches the questions that are taken for training."""

    def __init__(self, benchmarks: Mapping[str, Iterable[str]]) -> None:
        """`benchmarks`: the questions of each, by name."""
        self._holders: dict[str, set[BenchmarkProblem]] = {}
        """A run of words -> the benchmark problems that hold it."""
        self._runs: Counter[BenchmarkProblem] = Counter()
        """How many runs each has."""
        self._hints: set[str] = set()
        self._rows: dict[str, list[int]] = {}
        self._keys: set[int] = set()
        self.same_rows: set[int] = set()
        """Rows whose question is a benchmark's."""
        for name, questions in benchmarks.items():
            for index, question in enumerate(questions):
                self._remember((name, index), words_of(question))
                self._keys.add(question_key(question))

    def _remember(self, problem: BenchmarkProblem, words: list[str]) -> None:
        self._hints.update(runs(words, STRIDE))
        for run in _grams(words):
            self._holders.setdefault(run, set()).add(problem)
            self._runs[problem] += 1

    def see(self, row: int, question: str) -> None:
        if not self._runs:
            return
        if question_key(question) in self._keys:
            self.same_rows.add(row)
            return
        words = words_of(question)
        if len(words) >= GRAM and not any(hint in self._hints for hint in runs(words, STRIDE, STRIDE)):
            return
        shared = Counter(problem for run in _grams(words) for problem in self._holders.get(run, ()))
        for name in dict.fromkeys(name for (name, index), n in shared.items() if n >= SHARE * self._runs[name, index]):
            self._rows.setdefault(name, []).append(row)

    def warnings(self) -> list[str]:
        """One line for each benchmark that is touched."""
        return [
            f"{name} is evaluated, and {len(rows)} of the problems to train on repeat{'s' * (len(rows) == 1)} "
            f"one of its (13-gram overlap): {name_rows(rows)}"
            for name, rows in self._rows.items()
        ]


def words_of(text: str) -> list[str]:
    return WORD.findall(text.lower())


def _grams(words: list[str]) -> set[str]:
    return set(runs(words, min(GRAM, len(words)))) if words else set()


def runs(words: list[str], length: int, step: int = 1) -> Iterator[str]:
    """All runs of `length` words, from every `step`-th word.

    >>> list(runs(["a", "b", "c"], 2)), list(runs(["a", "b", "c"], 2, 2))
    (['a b', 'b c'], ['a b'])
    """
    return (" ".join(words[start : start + length]) for start in range(0, len(words) - length + 1, step))

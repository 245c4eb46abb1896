"""The benchmarks that are known by name, six of them the paper's."""

import random
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from tina_lite.answers import comparable
from tina_lite.data import load_problems
from tina_lite.data.files import ADVICE, PLACE, is_local, plain_name
from tina_lite.data.problem_set import ProblemSet, question_key
from tina_lite.data.tasks import GYM_PREFIX
from tina_lite.recipe.schema import DataSection
from tina_lite.util.errors import BadInput
from tina_lite.util.records import Problem

NOTHING: Mapping[str, Any] = MappingProxyType({})
AnswerForm = Literal["math", "choice"]
BOXED = r"Please reason step by step, and put your final answer within \boxed{}."
"""As the makers of the paper's base ask for it (DeepSeek-R1-Distill, usage recommendations)."""
LETTER = r"Please reason step by step, and put the letter of your choice within \boxed{}."
LETTERS = "ABCD"


@dataclass(frozen=True, slots=True)
class Known:
    """Where a benchmark lies on the hub, and how it is asked."""

    hub_id: str
    split: str
    problems: int
    """How many it has."""
    config: str | None = None
    form: AnswerForm = "math"


KNOWN = {
    "aime24": Known("HuggingFaceH4/aime_2024", "train", 30),
    "aime25": Known("yentinglin/aime_2025", "train", 30),
    "amc23": Known("zwhe99/amc23", "test", 40),
    "math500": Known("HuggingFaceH4/MATH-500", "test", 500),
    "gpqa-diamond": Known("Idavidrein/gpqa", "train", 198, "gpqa_diamond", "choice"),
    "minerva": Known("math-ai/minervamath", "test", 272),
    "gsm8k": Known("openai/gsm8k", "test", 1319, "main"),
}


def form_of(name: str) -> AnswerForm:
    """How answers on a benchmark are judged."""
    return KNOWN[name].form if name in KNOWN else "math"


@dataclass(frozen=True, slots=True)
class Benchmark:
    """Problems with a name, asked as they will be asked."""

    name: str
    problems: ProblemSet


def known_name(word: str) -> tuple[str | None, str]:
    """The known benchmark that a word means, itself or a file of it, and the source that the word names.

    >>> known_name("aime24"), known_name("data/amc23.jsonl")
    (('aime24', 'aime24'), ('amc23', 'data/amc23.jsonl'))
    >>> known_name("math500=mine.jsonl"), known_name("mine.jsonl"), known_name("me/mine@main")
    (('math500', 'mine.jsonl'), (None, 'mine.jsonl'), (None, 'me/mine@main'))
    """
    name, equals, file = word.partition("=")
    if equals and name in KNOWN:
        return name, file
    stem = plain_name(Path(word)).stem if is_local(word, None) else word
    return (stem if stem in KNOWN else None), word


def load_benchmark(
    word: str,
    *,
    base_folder: Path | None = None,
    limit: int | None = None,
    like: DataSection | None = None,
    given: Mapping[str, Any] = NOTHING,
) -> Benchmark:
    """Load a known benchmark, from the hub, a local copy or NAME=FILE, or any source of `load_problems`.

    `like` names the columns of the training set, which a file of the user's may have too. `given` are fields that the
    source must have, such as its own columns, or its split.
    """
    name, source = known_name(word)
    data = DataSection.model_construct(source=source, limit=limit)  # an empty name is refused below
    columns = {} if like is None else {"prompt": like.prompt, "answer": like.answer}
    if name is None:
        if source == "arithmetic":
            data = data.model_copy(update={"split": "test"})
        elif not source.startswith(GYM_PREFIX):
            data = data.model_copy(update={**columns, **given})
        usual = not {"prompt", "answer"} & set(given)
        problems = load_problems(data, base_folder=base_folder, or_usual=usual, is_benchmark=True)
        return Benchmark(problems.name, problems)
    known = KNOWN[name]
    if not is_local(source, base_folder):
        if source != name and "@" not in source:
            raise BadInput(f"{word}: there is no file {source}")
        data = data.model_copy(
            update={"source": known.hub_id if source == name else source, "split": known.split, "config": known.config}
        )
    if known.form == "choice":
        columns = {"prompt": "Question", "answer": "Correct Answer"}
    try:
        problems = load_problems(
            data.model_copy(update={**columns, **given}),
            base_folder=base_folder,
            or_usual=known.form != "choice" and not {"prompt", "answer"} & set(given),
            gold_parses=bool if known.form == "choice" else comparable,
        )
    except BadInput as error:
        what, advice, _ = str(error).partition(ADVICE)
        if not advice:
            raise
        said = f"{name}: {what.removeprefix(PLACE)}; to use a copy of it: {name}=FILE.jsonl"
        raise type(error)(said) from None
    return Benchmark(name, _asked(problems, known.form))


def _asked(problems: ProblemSet, form: AnswerForm) -> ProblemSet:
    if form == "choice":
        return problems.map(with_options)
    return problems.map(lambda problem: replace(problem, question=f"{problem.question}\n\n{BOXED}"))


def with_options(problem: Problem) -> Problem:
    """Make a row of GPQA a question with four lettered options; the question alone decides their order."""
    try:
        wrong = [str(problem.columns[f"Incorrect Answer {number}"]).strip() for number in (1, 2, 3)]
    except KeyError as missing:
        raise BadInput(
            f"gpqa-diamond: the data has no column {missing}; it needs the columns of Idavidrein/gpqa"
        ) from None
    options = [problem.answer, *wrong]
    random.Random(question_key(problem.question)).shuffle(options)
    listed = "\n".join(f"{letter}) {option}" for letter, option in zip(LETTERS, options, strict=True))
    question = f"{problem.question}\n\n{listed}\n\n{LETTER}"
    return replace(problem, question=question, answer=LETTERS[options.index(problem.answer)])

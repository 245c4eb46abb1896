"""Models on benchmarks, in a folder of their own, inside a budget.

    OUT/          asked.json  ledger.jsonl  results.json  results.md
    OUT/MODEL/    settings.json  BENCHMARK.jsonl  BENCHMARK.verdicts.jsonl

A model is asked in chunks of whole problems whose size is fixed once. Each completion is kept as it ends, and is never
asked again; what is drawn does not depend on what it shares a batch with (sampler.py). A model is loaded only where
completions are missing.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tina_lite.budget import Meter, Rate
from tina_lite.budget.guard import guard
from tina_lite.budget.limits import Limits
from tina_lite.budget.meter import Clock
from tina_lite.data.benchmarks import Benchmark, form_of
from tina_lite.data.prompts import prompt_or_reason
from tina_lite.data.sources import EVAL_SEED
from tina_lite.eval.manifest import MOST_SEQUENCES, PROMPT_TOKENS, EvalArgs, Manifest, SamplingParams
from tina_lite.eval.samples import SampleFile, sample_missing
from tina_lite.eval.scoring import Comparison, Judged, Result, compared, judged, result_of
from tina_lite.eval.tables import Report, markdown
from tina_lite.policy.load import load_model
from tina_lite.policy.model_ref import ModelRef
from tina_lite.rollout.sampler import Sampler
from tina_lite.runs.look import lock_folder, unlock
from tina_lite.runs.session import StopRequest
from tina_lite.util.disk import write_atomically
from tina_lite.util.errors import BadInput, NoRoom
from tina_lite.util.records import Problem, Prompt

LOADING_S = 6.0
"""No model is loaded and asked in less."""
CLOSING_S = 5.0
JUDGING_S = 0.02
"""Seconds kept back for judging, a completion."""

Watch = Callable[[str, str, int, int, float, float | None], None]
"""Told (model, benchmark, completions done, completions in all, dollars so far, tokens a second where known)."""


class Evaluation:
    """Runs one session of an evaluation."""

    def __init__(
        self,
        folder: Path,
        benchmarks: Sequence[Benchmark],
        sampling_params: SamplingParams,
        meter: Meter,
        limits: Limits,
        stop: StopRequest,
        watch: Watch,
        *,
        rescore: bool = False,
    ) -> None:
        """With `rescore` nothing is sampled."""
        self._folder = folder
        self._benchmarks = benchmarks
        self._sampling_params = sampling_params
        self._meter = meter
        self._limits = limits
        self._stop = stop
        self._watch = watch
        self._rescore = rescore
        self._judged: dict[tuple[str, str], list[Judged]] = {}
        self._unjudged = 0  # completions of the model at hand that are there, or are being sampled
        self.unfinished = False
        """Whether completions are missing still."""

    def measure(self, target: ModelRef) -> list[Result]:
        """Sample what is missing of a model, and judge what there is."""
        own = self._folder / target.name
        files = {one.name: SampleFile(own / f"{one.name}.jsonl") for one in self._benchmarks}
        missing = [
            one for one in self._benchmarks if files[one.name].missing(one.problems, self._sampling_params.samples)
        ]
        self._unjudged = sum(file.count for file in files.values())
        if missing and not self._rescore and not self._out_of_time(LOADING_S):
            own.mkdir(parents=True, exist_ok=True)
            with self._meter.phase("load"):
                settings = Manifest.of(own / "settings.json", target, self._sampling_params)
                model = _Model(settings.target, self._sampling_params)
                settings.keep(model.policy.layout.kv_tokens)
            for benchmark in missing:
                with self._meter.phase("eval"):
                    self._sample(model, settings, target.name, benchmark, files[benchmark.name])
        elif (own / "settings.json").exists():
            Manifest.of(own / "settings.json", target, self._sampling_params)  # refuses what was sampled otherwise
        self.unfinished |= any(
            files[one.name].missing(one.problems, self._sampling_params.samples) for one in self._benchmarks
        )
        with self._meter.phase("reward"):
            results = [self._judge(target.name, one, files[one.name]) for one in self._benchmarks]
        return [result for result in results if result is not None]

    def compare(self, model: str, base: str) -> list[Comparison]:
        """Of two models that were measured."""
        pairs = [
            compared(model, base, one.name, self._judged[model, one.name], self._judged[base, one.name])
            for one in self._benchmarks
        ]
        return [pair for pair in pairs if pair is not None]

    @property
    def stop_reason(self) -> str:
        if not self.unfinished:
            return "finished"
        if self._rescore:
            return "rescored"
        return "interrupted" if self._stop else "max_usd"

    def _sample(self, model: "_Model", settings: "Manifest", name: str, benchmark: Benchmark, file: SampleFile) -> None:
        total, samples = len(benchmark.problems) * self._sampling_params.samples, self._sampling_params.samples
        speed: float | None = None
        for chunk in _chunks(benchmark.problems, settings.chunk_problems):
            prompts = []
            for problem in file.missing(chunk, samples):
                prompt = model.prompt(problem)
                if prompt is None:
                    file.skip(problem)
                else:
                    prompts.append(prompt)
            self._unjudged += sum(samples - len(file.samples_of(prompt.problem)) for prompt in prompts)
            if self._out_of_time():
                return
            if not prompts:
                continue
            done, started = file.count, self._meter.elapsed_s()

            def tell(finished: int, _: int, done: int = done, speed: float | None = speed) -> None:
                self._watch(name, benchmark.name, done + finished, total, self._meter.usd(), speed)

            tokens = sample_missing(
                file,
                model.sampler(settings.kv_tokens),
                prompts,
                samples,
                usd=self._meter.usd,
                out_of_time=self._out_of_time,
                progress=tell,
            )
            seconds = self._meter.elapsed_s() - started
            speed = tokens / seconds if seconds else None

    def _judge(self, name: str, benchmark: Benchmark, file: SampleFile) -> Result | None:
        wanted = {problem.index for problem in benchmark.problems}
        groups = {problem: kept for problem, kept in file.groups.items() if problem in wanted}
        found = judged(groups, self._sampling_params.samples, form_of(benchmark.name))
        self._judged[name, benchmark.name] = found
        if found:
            _keep_verdicts(self._folder / name / f"{benchmark.name}.verdicts.jsonl", found)
        too_long = len(file.skipped & wanted)
        return result_of(name, benchmark.name, groups, found, len(wanted) - too_long, too_long)

    def _out_of_time(self, ahead_s: float = 0.0) -> bool:
        """Whether a signal came, or the budget does not hold so many seconds more and what closing takes."""
        if self._stop:
            return True
        left = self._limits.left(self._meter.read())
        return ahead_s + CLOSING_S + JUDGING_S * self._unjudged >= left.seconds


class _Model:
    """A loaded target that is asked."""

    def __init__(self, target: ModelRef, sampling_params: SamplingParams) -> None:
        self._sampling_params = sampling_params
        longest = sampling_params.rollout.max_completion_length
        self.policy = load_model(target, sequences=MOST_SEQUENCES, prompt=PROMPT_TOKENS, completion=longest)
        self._longest_prompt = self.policy.context - longest
        if self._longest_prompt < 1:
            raise BadInput(
                f"--max-completion-length {longest}: {target.name} reads {self.policy.context} tokens in all, prompt "
                "included; choose fewer"
            )

    def prompt(self, problem: Problem) -> Prompt | None:
        """As the model sees it; None where it does not fit."""
        tokenizer, system_prompt = self.policy.tokenizer, self._sampling_params.system_prompt
        found = prompt_or_reason(problem, tokenizer, system_prompt, self._longest_prompt)
        return found if isinstance(found, Prompt) else None

    def sampler(self, kv_tokens: int) -> Sampler:
        return Sampler(self.policy, self._sampling_params.rollout, seed=EVAL_SEED, kv_tokens=kv_tokens)


def _keep_verdicts(path: Path, found: Sequence[Judged]) -> None:
    """Beside the completions, which a re-score leaves as they are."""
    lines = [json.dumps({"problem": one.problem, "right": one.right, "majority": one.majority}) for one in found]
    write_atomically(path, "".join(f"{line}\n" for line in lines))


def _chunks(problems: Sequence[Problem], size: int) -> Iterator[list[Problem]]:
    """By position in the benchmark, whatever is done already."""
    for start in range(0, len(problems), size):
        yield [problems[place] for place in range(start, min(start + size, len(problems)))]


def run_evaluation(
    targets: Sequence[ModelRef],
    benchmarks: Sequence[Benchmark],
    sampling_params: SamplingParams,
    *,
    folder: Path,
    rate: Rate,
    max_usd: float | None = None,
    watch: Watch = lambda *_: None,
    rescore: bool = False,
    asked: EvalArgs | None = None,
    clock: Clock | None = None,
) -> Report:
    """Measure the first target, and the others beside it as bases to compare it with.

    With `rescore` the completions that are kept are judged again, and nothing is sampled. `asked` is kept beside them.

    Raises:
        BadInput: something given cannot be used, or the folder holds another evaluation.
        NoRoom: the budget does not pay for a single problem.
    """
    with _opened(folder), StopRequest() as stop:
        if asked is not None and not rescore:
            asked.keep(folder)
        meter = Meter.open(folder / "ledger.jsonl", rate, clock=clock)
        limits = Limits(max_usd=max_usd)
        guard(meter, limits, folder, f"the same command goes on in {folder}")
        try:
            session = Evaluation(folder, benchmarks, sampling_params, meter, limits, stop, watch, rescore=rescore)
            results = [result for target in targets for result in session.measure(target)]
            if not results and not stop:
                if rescore:
                    raise BadInput(f"--rescore: {folder} holds no problem with all its completions yet")
                raise NoRoom(
                    f"max_usd {max_usd:g} does not pay for one problem, {meter.usd():.4f} are spent; with a higher "
                    f"--max-usd the same command goes on in {folder}"
                    if max_usd is not None
                    else "no problem's prompt fits the model; choose a smaller --max-completion-length"
                )
            comparisons = [
                comparison for base in targets[1:] for comparison in session.compare(targets[0].name, base.name)
            ]
            report = Report(
                tuple(results),
                tuple(comparisons),
                session.stop_reason,
                meter.usd(),
                rate.usd_per_hour,
                str(folder),
                stop.signal_number,
            )
        finally:
            meter.close()
        write_atomically(folder / "results.json", json.dumps(report.to_json(), indent=2) + "\n")
        write_atomically(folder / "results.md", markdown(report))
        return report


@contextmanager
def _opened(folder: Path) -> Iterator[None]:
    """The folder, made and locked against a second process."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise NoRoom(f"{folder}: cannot be written ({error.strerror}); choose another folder with --out") from error
    lock = lock_folder(folder)
    try:
        yield
    finally:
        unlock(lock)

"""Whether a run could start on this machine, and what mends it where not: questions to it, and small judgements.

A check is handed what it judges, so that tests make machines up; a question answers with plain values, and never fails.
"""

import importlib
import logging
import os
import platform
import shutil
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from threading import Thread
from typing import Any, Literal

from tina_lite.budget import format_price, resolve_rate
from tina_lite.budget.rates import user_file
from tina_lite.policy.engine import FLOAT16_CAPABILITY, INSTALL, Facts, choose_engine, find_facts
from tina_lite.policy.shape import architectures
from tina_lite.util.device import ask_driver
from tina_lite.util.errors import BadInput, one_line
from tina_lite.util.memory import available_bytes
from tina_lite.version import VERSION

GIB = 1024**3
MEMORY_GIB = 1.5
"""The quickstart, the smallest run that ships, peaks at 1.2 GB."""
RUN_GIB = 0.1
"""The quickstart's checkpoints and samples, with room to spare."""
PAPER_RUN_GIB = 1.5
"""Three checkpoints (a new one is there before the oldest goes) of 37 million values: a master and two moments each."""
PAPER_BASE_GIB = 4.0
"""The paper's base is a download of 3.6 GB."""
HUB_LIMIT_S = 2.0
GAIN = 0.8
"""Of the seconds, below which a way of multiplying is worth a word."""
OUR_STACK = ("torch", "transformers", "peft", "bitsandbytes", "datasets", "accelerate")


@dataclass(frozen=True, slots=True)
class Finding:
    """Says what one check found."""

    what: str
    level: Literal["ok", "note", "fault"]
    """note: runs can start, but not every run, or not as well as they might; fault: first mend this."""
    text: str
    mend: str = ""
    """A command, or what to change."""


@dataclass(frozen=True, slots=True)
class CardFound:
    """What the driver says of the card."""

    name: str
    memory_mib: int
    driver: str


@dataclass(frozen=True, slots=True)
class Torch:
    """What torch says of the machine."""

    version: str
    cuda: str | None
    """The CUDA that it was built for; None for a build for CPUs."""
    capability: tuple[int, int] | None
    """Of the card that it can use; None where it can use none."""
    bf16: bool
    """Whether that card computes in it, not emulates it."""
    threads: int


def check_packages(requirements: Sequence[str], version_of: Callable[[str], str | None]) -> Finding:
    """Every package that tina-lite needs is there, and new enough."""
    found = ", ".join(f"{name} {version_of(name)}" for name in OUR_STACK)
    text = f"tina-lite {VERSION}, Python {platform.python_version()}, {found}"
    clashes, mend = _clashes(requirements, version_of)
    return Finding("packages", "fault", clashes, mend) if clashes else Finding("packages", "ok", text)


def check_card(card: CardFound | None, torch: Torch) -> Finding:
    """The card that runs will use. A run without one is slow, not broken."""
    if card is None:
        found = f"no NVIDIA card: runs use the CPU ({torch.threads} threads)"
        return Finding("card", "note", found, "if there is one, install its driver, so that nvidia-smi lists it")
    facts = f"{card.name}, {card.memory_mib / 1024:.1f} GiB of VRAM, driver {card.driver}"
    if torch.cuda is None:
        unused = f"{facts}; unused, as torch {torch.version} is built for CPUs"
        return Finding("card", "note", unused, f"pip install --force-reinstall torch=={torch.version.split('+')[0]}")
    if torch.capability is None:
        unused = f"{facts}; unused, as torch for CUDA {torch.cuda} finds it out of reach"
        return Finding(
            "card", "note", unused, f"install a driver for CUDA {torch.cuda} (nvidia-smi says which it is for)"
        )
    major, minor = torch.capability
    return Finding("card", "ok", f"{facts}, compute capability {major}.{minor}, torch for CUDA {torch.cuda}")


def check_bf16(torch: Torch) -> Finding:
    """bfloat16: where a card lacks it, runs compute in float16, or in float32 where it is older still."""
    if torch.capability is None:
        return Finding("bf16", "ok", "a CPU computes in it where that is measured to be faster than float32")
    if torch.bf16:
        return Finding("bf16", "ok", "the card computes in it")
    if torch.capability >= FLOAT16_CAPABILITY:
        return Finding("bf16", "note", "the card lacks it: runs compute in float16, with a loss scale")
    return Finding("bf16", "note", "the card lacks it: runs compute in float32, slower and in twice the memory")


def check_half_sums(share_of_seconds: Callable[[], float]) -> Finding:
    """Check whether the update's products are faster with sums in float16, as on GeForce cards."""
    try:
        share = share_of_seconds()
    except RuntimeError as error:  # another program may have the card's memory
        return Finding("fp16 sums", "note", one_line(f"not measured: {error}"))
    if share < GAIN:
        text = f"an update's products take {share:.0%} of the time so: model.fp16_accumulation: true is worth trying"
        return Finding("fp16 sums", "note", text)
    return Finding("fp16 sums", "ok", f"an update's products take {share:.0%} of the time so: no gain, leave them off")


def check_bitsandbytes(quantize: Callable[[], None]) -> Finding:
    """Check what the 4-bit base rests on, by quantising a little, as an import alone proves nothing."""
    try:
        quantize()
    except ImportError as error:
        reason, mend = f"cannot be imported: {error}", "pip install bitsandbytes"
    except Exception as error:  # whatever a kernel or a loader of libraries comes up with
        reason, mend = f"fails: {error}", "python -m bitsandbytes"
    else:
        return Finding("bitsandbytes", "ok", "quantises to NF4 and back")
    return Finding("bitsandbytes", "fault", one_line(reason), f"{mend} (or: --set model.quantization=none)")


def check_judge(verdict: Callable[[], object]) -> Finding:
    """The worker that asks math-verify, by a pair of answers that are equal: None where it has no answer in time."""
    try:
        found = verdict()
    except Exception as error:  # a process that cannot be started, a pipe that breaks
        found = one_line(str(error))
    if found is True:
        return Finding("math-verify", "ok", "its worker starts, and 1/2 is 0.5")
    mend = "pip install --force-reinstall math-verify (or rewards without accuracy)"
    what = "no answer in time" if found is None else found
    return Finding("math-verify", "fault", f"its worker does not judge: {what}", mend)


def check_unsloth(requirements: Sequence[str] | None, version_of: Callable[[str], str | None]) -> Finding:
    """By its metadata alone, None where it is not installed: an import would patch transformers for this process."""
    if requirements is None:
        return Finding("unsloth", "note", "not installed; an optional engine for CUDA cards", INSTALL)
    clashes, mend = _clashes(requirements, version_of, OUR_STACK)
    if clashes:
        return Finding("unsloth", "note", f"unusable: {clashes}; an optional engine for CUDA cards", mend)
    return Finding("unsloth", "ok", f"unsloth {version_of('unsloth')}, unsloth_zoo {version_of('unsloth_zoo')}")


def check_engine(facts: Facts) -> Finding:
    """What model.engine=auto comes to for most models, in a process that a run begins."""
    engine = choose_engine("auto", replace(facts, imported=frozenset()), lambda: "qwen2")
    return Finding("engine", "note" if engine.warnings else "ok", "; ".join((str(engine), *engine.warnings)))


def check_memory(free: int) -> Finding:
    """Main memory, in bytes that can be had. What a recipe needs of it, and of VRAM, is for a plan to say."""
    text = f"{free / GIB:.1f} GiB of main memory can be had"
    if free < MEMORY_GIB * GIB:
        return Finding("memory", "fault", f"{text}; the smallest run needs {MEMORY_GIB:g}", "end other programs")
    return Finding("memory", "ok", text)


def check_run_folder(folder: Path, free: int, writable: bool) -> Finding:
    """Where run folders are made, and how many bytes are free there."""
    if not writable:
        return Finding("run folder", "fault", f"{folder} cannot be written", "go to another folder, or --out FOLDER")
    text, advice = f"{free / GIB:.1f} GiB free for runs in {folder}", "--out FOLDER on a larger disk"
    if free < RUN_GIB * GIB:
        return Finding("run folder", "fault", f"{text}; the smallest run needs {RUN_GIB:g}", advice)
    if free < PAPER_RUN_GIB * GIB:
        return Finding("run folder", "note", f"{text}; a run of the paper needs {PAPER_RUN_GIB:g}", advice)
    return Finding("run folder", "ok", text)


def check_architecture(kind: str) -> Finding:
    """What is known of a model_type: how far the native engine is from transformers and peft."""
    known = architectures().get(kind)
    if known is None:
        return Finding("architecture", "note", f"{kind}: nobody tried it here; a run compares its log-probs first")
    mend = "choose another model" if known.refused else ""
    return Finding("architecture", "fault" if known.refused else "ok", str(known), mend)


def check_model_cache(folder: Path, free: int) -> Finding:
    """Where models and data from the hub are kept, and how many bytes are free there."""
    text = f"{free / GIB:.1f} GiB free for models in {folder}"
    if free < PAPER_BASE_GIB * GIB:
        small = f"{text}; the paper's base needs {PAPER_BASE_GIB:g}"
        return Finding("model cache", "note", small, "export HF_HOME=FOLDER on a larger disk")
    return Finding("model cache", "ok", text)


def check_hub(offline: bool, answers: Callable[[float], bool]) -> Finding:
    """Check the Hugging Face hub. What is local needs none, nor does the tiny base."""
    without = "only models and data that are local or in the cache can be used"
    if offline:
        return Finding("hub", "note", f"not asked, as HF_HUB_OFFLINE is set; {without}", "unset HF_HUB_OFFLINE")
    if answers(HUB_LIMIT_S):
        return Finding("hub", "ok", "the Hugging Face hub answers")
    local = "mend the network, or use --model FOLDER --set data.source=FILE.jsonl"
    return Finding("hub", "note", f"no answer within {HUB_LIMIT_S:g} s; {without}", local)


def check_price(card: str | None, environment: Mapping[str, str]) -> Finding:
    """What an hour costs where neither --rate nor the recipe says."""
    try:
        rate = resolve_rate(None, None, environment, card, budget_is_set=False)
    except BadInput as error:
        return Finding("price", "fault", str(error), "correct it there")
    if rate.source == "unknown":
        listed = f", or list the card in {user_file()}" if card else ""
        text = f"none is known for {card or 'this machine'}; a budget in dollars needs one"
        return Finding("price", "note", text, f"--rate 0.20, or export TINA_LITE_RATE=0.20{listed}")
    return Finding("price", "ok", f"{format_price(rate.usd_per_hour)}/h ({rate.source})")


def _clashes(
    requirements: Sequence[str], version_of: Callable[[str], str | None], among: Sequence[str] = ()
) -> tuple[str, str]:
    """Requirements (of `among`, if any are given) that nothing installed meets, and the command that installs them."""
    from packaging.requirements import Requirement

    needed = [r for r in map(Requirement, requirements) if r.marker is None or r.marker.evaluate({"extra": ""})]
    found = {r: version_of(r.name) for r in needed if not among or r.name in among}
    bad = [r for r, version in found.items() if version is None or not r.specifier.contains(version, prereleases=True)]
    clashes = ", ".join(f"needs {r.name}{r.specifier}, found {found[r] or 'none'}" for r in bad)
    return clashes, "pip install " + " ".join(f"'{r.name}{r.specifier}'" for r in bad)


def version_of(package: str) -> str | None:
    """The version of an installed package; None where it is not installed."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def wishes_of(package: str) -> list[str] | None:
    """What a package requires, by its metadata; None where it is not installed."""
    try:
        return metadata.requires(package) or []
    except metadata.PackageNotFoundError:
        return None


def card() -> CardFound | None:
    facts = ask_driver("name", "memory.total", "driver_version")
    return CardFound(facts[0], int(facts[1]) if facts[1].isdigit() else 0, facts[2]) if facts else None


def torch() -> Torch | Finding:
    """A finding where torch cannot be imported at all."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a driver that is too old; the card's check says so
            module: Any = importlib.import_module("torch")
            capability = module.cuda.get_device_capability() if module.cuda.is_available() else None
            bf16 = capability is not None and module.cuda.is_bf16_supported(including_emulation=False)
    except Exception as error:  # a broken shared library is an OSError, a broken driver a RuntimeError
        return Finding("torch", "fault", one_line(f"cannot be used: {error}"), "pip install --force-reinstall torch")
    return Torch(module.__version__, module.version.cuda, capability, bf16, module.get_num_threads())


def share_of_seconds() -> float:
    """Of a product with sums in float16, on the card, beside the same in bfloat16."""
    trial: Any = importlib.import_module("tina_lite.policy.dense.trial")
    share: float = trial.half_sums_share("cuda")
    return share


def quantize_a_little(device: str) -> None:
    """Take a matrix to NF4 and back.

    Raises what bitsandbytes raises, or ArithmeticError where the numbers are wrong.
    """
    module: Any = importlib.import_module("torch")
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        functional: Any = importlib.import_module("bitsandbytes.functional")
        whole = module.linspace(-1, 1, 64 * 64, device=device).reshape(64, 64)
        back = functional.dequantize_4bit(*functional.quantize_4bit(whole, quant_type="nf4"))
    if not module.allclose(back, whole, atol=0.16):  # half of the widest gap between two of NF4's levels
        raise ArithmeticError("what was quantised comes back as other numbers")


def judge_a_little() -> object:
    """The verdict on two forms of one number; None where there was none in time."""
    from tina_lite.rewards.accuracy import math_verify
    from tina_lite.rewards.workers import LOST

    judge = math_verify()
    (verdict,) = judge.ask([{"gold": r"\frac{1}{2}", "answer": "0.5", "boxed": False}])
    judge.pool.close()
    return None if verdict is LOST else verdict


def free_memory() -> int:
    return available_bytes()


def run_folder() -> tuple[Path, int, bool]:
    """The folder in which runs are made, its free bytes, whether it can be written."""
    folder = nearest_folder(Path("runs"))
    return folder, shutil.disk_usage(folder).free, os.access(folder, os.W_OK)


def model_cache() -> tuple[Path, int]:
    """The hub's cache, which may not be there yet, and its free bytes."""
    from huggingface_hub import constants

    folder = Path(constants.HF_HUB_CACHE)
    return folder, shutil.disk_usage(nearest_folder(folder)).free


def is_offline() -> bool:
    from huggingface_hub import constants

    return bool(constants.HF_HUB_OFFLINE)


def hub_answers(limit_s: float) -> bool:
    """Asked in a thread that is left behind, as the look-up of a name heeds no time limit."""
    from tina_lite.util.hub import unreachable

    answers: list[bool] = []

    def ask() -> None:
        answers.append(not unreachable(lambda api: api.model_info("openai-community/gpt2", timeout=limit_s)))

    thread = Thread(target=ask, daemon=True)
    thread.start()
    thread.join(limit_s)
    return answers == [True]


def environment() -> Mapping[str, str]:
    return os.environ


def nearest_folder(path: Path) -> Path:
    """Find the folder itself, or the first above it that exists."""
    return next(folder for folder in (path.absolute(), *path.absolute().parents) if folder.is_dir())


def examine(architecture: str | None = None) -> Iterator[Finding]:
    """All checks on this machine, and of a model_type; no more than the first where the others need what it lacks."""
    packages = check_packages(wishes_of("tina-lite") or [], version_of)
    yield packages
    if packages.level == "fault":
        return
    found_card, found_torch = card(), torch()
    if isinstance(found_torch, Finding):
        yield found_torch
        return
    yield check_card(found_card, found_torch)
    yield check_bf16(found_torch)
    if found_torch.capability and found_torch.bf16:
        yield check_half_sums(share_of_seconds)
    yield check_bitsandbytes(lambda: quantize_a_little("cuda" if found_torch.capability else "cpu"))
    yield check_judge(judge_a_little)
    yield check_unsloth(wishes_of("unsloth"), version_of)
    yield check_engine(find_facts())
    yield check_memory(free_memory())
    yield check_run_folder(*run_folder())
    yield check_model_cache(*model_cache())
    yield check_hub(is_offline(), hub_answers)
    yield check_price(found_card.name if found_card else None, environment())
    if architecture is not None:
        yield check_architecture(architecture)

"""What a run needs, one small check for each thing. A check is handed what it judges, so tests make machines up."""

import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from tina_lite.budget import format_price, resolve_rate
from tina_lite.budget.prices import user_file
from tina_lite.errors import BadInput, one_line
from tina_lite.policy.architectures import architectures
from tina_lite.policy.engine import FLOAT16_CAPABILITY, INSTALL, Facts, choose_engine
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
OUR_STACK = ("torch", "transformers", "peft", "bitsandbytes", "datasets", "accelerate")


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found."""

    what: str
    level: Literal["ok", "note", "fault"]
    """note: runs can start, but not every run, or not as well as they might; fault: first mend this."""
    text: str
    mend: str = ""
    """A command, or what to change."""


@dataclass(frozen=True, slots=True)
class Card:
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


def check_card(card: Card | None, torch: Torch) -> Finding:
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


def check_bitsandbytes(quantize: Callable[[], None]) -> Finding:
    """The 4-bit base rests on it. Judged by quantising a little, as an import alone proves nothing."""
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
    text, elsewhere = f"{free / GIB:.1f} GiB free for runs in {folder}", "--out FOLDER on a larger disk"
    if free < RUN_GIB * GIB:
        return Finding("run folder", "fault", f"{text}; the smallest run needs {RUN_GIB:g}", elsewhere)
    if free < PAPER_RUN_GIB * GIB:
        return Finding("run folder", "note", f"{text}; a run of the paper needs {PAPER_RUN_GIB:g}", elsewhere)
    return Finding("run folder", "ok", text)


def check_architecture(kind: str) -> Finding:
    """What is known of a model_type: how far the portable engine is from transformers and peft."""
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
    """The Hugging Face hub. What is local needs none, nor does the tiny base."""
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

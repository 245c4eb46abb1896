"""Which engine a run uses, and why: decided from a few facts, before anything heavy is imported.

Unsloth patches classes for its whole process, and has to be imported before transformers. So the two engines never
meet in one process, and `enter` comes before anything that imports transformers.
"""

import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Literal

from tina_lite.policy.shape import ARCHITECTURES
from tina_lite.util.device import card_capability, installed_version, is_for_cpus
from tina_lite.util.disk import user_folder
from tina_lite.util.errors import BadInput, one_line

EngineName = Literal["native", "unsloth"]
ACCELERATED = frozenset({"llama", "mistral", "gemma", "gemma2", "qwen2", "qwen3"})
"""What Unsloth has fast forward passes for; the rest goes through transformers' own."""
TESTED = "2026.10.9"
"""Of unsloth and unsloth_zoo; the first with a backend for CPUs."""
INSTALL = f"pip install --no-deps unsloth=={TESTED} unsloth_zoo=={TESTED}"
"""With its dependencies pip would move torch and transformers."""
BF16_CAPABILITY = 8.0
"""The first compute capability that computes in bfloat16."""
FLOAT16_CAPABILITY = (7, 0)
"""The first whose products in float16 are fast, and summed in float32."""


@dataclass(frozen=True, slots=True)
class Facts:
    """Holds what the choice of an engine rests on."""

    capability: float | None
    """CUDA compute capability of the card; None where there is none to use."""
    torch: str | None
    """Versions; None where it is not installed."""
    unsloth: str | None
    unsloth_zoo: str | None
    vllm: str | None
    imported: frozenset[str]
    """Of unsloth and transformers, what this process has imported."""


@dataclass(frozen=True, slots=True)
class Engine:
    """The engine of a run."""

    name: EngineName
    why: str
    """Follows the name: "native: no CUDA card"."""
    warnings: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.name}: {self.why}"


def find_facts() -> Facts:
    """Find the facts of this machine and this process."""
    return Facts(
        capability=card_capability(),
        torch=installed_version("torch"),
        unsloth=installed_version("unsloth"),
        unsloth_zoo=installed_version("unsloth_zoo"),
        vllm=installed_version("vllm"),
        imported=frozenset({"unsloth", "transformers"} & sys.modules.keys()),
    )


def choose_engine(
    wanted: str, facts: Facts, model_type: Callable[[], str], compute_dtype: str = "auto", *, vllm: bool = False
) -> Engine:
    """The engine that `wanted` (auto, native or unsloth) comes to.

    Args:
        wanted: model.engine of the recipe.
        facts: from `find_facts`.
        model_type: gives that of the model's config.json; asked only where it matters.
        compute_dtype: model.compute_dtype of the recipe.
        vllm: whether rollouts are to be vLLM's, which comes with Unsloth.

    Raises:
        BadInput: Unsloth or float16 is wanted and cannot be used, or this process is taken by the other engine.
    """
    if facts.capability is None:
        refuse_float16(compute_dtype)
    if wanted == "unsloth":
        if reason := _unusable(facts, compute_dtype):
            raise BadInput(f"model.engine: unsloth cannot be used: {reason}; or set model.engine=native")
        return Engine("unsloth", "as the recipe says", (*_idle(facts, model_type), *_untested(facts)))
    reason = "as the recipe says"
    if wanted == "auto":
        reason = _without_card(facts) or _unusable(facts, compute_dtype)
        if not reason and vllm:
            return Engine("unsloth", "rollouts by vLLM need it", tuple(_untested(facts)))
        reason = reason or _replayed(model_type()) or next(iter(_idle(facts, model_type)), "")
        if not reason:
            why = f"a CUDA card, and {model_type()} is an architecture that Unsloth accelerates"
            return Engine("unsloth", why, tuple(_untested(facts)))
    if "unsloth" in facts.imported:
        raise BadInput(f"model.engine: this process has imported Unsloth, which patches transformers, and the engine "
                       f"would be native ({reason}); start a new process for it")  # fmt: skip
    return Engine("native", reason, tuple(_old_card(facts, compute_dtype)))


def refuse_float16(compute_dtype: str) -> None:
    """BadInput where it is wanted; of a machine without a card, which would be slower in it."""
    if compute_dtype == "float16":
        raise BadInput("model.compute_dtype: float16 is for a card; on a CPU choose auto, float32 or bfloat16")


def refuse_vllm(engine: Engine, facts: Facts) -> None:
    """BadInput where rollouts by vLLM cannot be had with this engine."""
    reason = ""
    if engine.name != "unsloth":
        reason = f"it needs model.engine unsloth, and the engine is {engine}"
    elif facts.capability is None:
        reason = "it needs a CUDA card"
    elif facts.vllm is None:
        reason = "vllm is not installed (pip install vllm)"
    if reason:
        raise BadInput(f"rollout.engine: vllm cannot be used: {reason}; or set rollout.engine=native")


def idle_accumulation(engine: Engine, facts: Facts, model_type: Callable[[], str]) -> str:
    """Why model.fp16_accumulation changes nothing; empty where it does."""
    if engine.name != "native":
        return f"the engine is {engine.name}, which has none"
    if reason := _without_card(facts):
        return reason
    kind = model_type()
    return "" if kind in ARCHITECTURES else f"{kind or 'this architecture'} is computed by transformers' own code"


def enter(engine: Engine, *, local: bool, vllm: bool = False) -> None:
    """Make this process the engine's, before transformers is imported.

    Args:
        engine: as chosen.
        local: the model is a folder, and nobody need be asked for it.
        vllm: rollouts are vLLM's, whose memory cannot be lent out in blocks that grow.
    """
    if vllm:
        os.environ["UNSLOTH_VLLM_STANDBY"] = "1"
    else:  # blocks that grow fragment less where every step has other shapes; read when torch first uses the card
        os.environ.setdefault("PYTORCH_ALLOC_CONF", "expandable_segments:True")
    if engine.name == "unsloth":
        import_unsloth(offline=local)


def _without_card(facts: Facts) -> str:
    if facts.capability is None:
        return "no CUDA card"
    return f"torch {facts.torch} is built for CPUs, and cannot use the card" if is_for_cpus(facts.torch) else ""


def _unusable(facts: Facts, compute_dtype: str) -> str:
    """Why Unsloth cannot run here, and what mends it; empty where it can."""
    missing = [name for name in ("unsloth", "unsloth_zoo") if getattr(facts, name) is None]
    if missing:
        return f"{' and '.join(missing)} not installed ({INSTALL})"
    if facts.capability is not None and facts.capability < BF16_CAPABILITY:
        return f"the card has compute capability {facts.capability:g}, hence no bfloat16, and float16 would overflow"
    if compute_dtype == "float16":
        return "model.compute_dtype is float16, which the native engine alone computes in"
    if "unsloth" not in facts.imported and "transformers" in facts.imported:
        return "this process imported transformers before Unsloth could patch it; start a new one"
    return ""


def _idle(facts: Facts, model_type: Callable[[], str]) -> list[str]:
    """Why its kernels would not run, which makes it no faster."""
    if reason := _without_card(facts):
        return [f"{reason}: Unsloth runs transformers' own code, without its kernels"]
    kind = model_type()
    return [] if kind in ACCELERATED else [f"Unsloth has no fast path for {kind or 'this architecture'}"]


def _replayed(kind: str) -> str:
    """Why the native engine is the faster one: decoding is most of a step (bench/README.md has the figures)."""
    return f"its decode steps of {kind} are replayed, which is faster than Unsloth's" if kind in ARCHITECTURES else ""


def _untested(facts: Facts) -> list[str]:
    found = {name: getattr(facts, name) for name in ("unsloth", "unsloth_zoo")}
    return [
        f"{name} {version} is outside the tested range, which is {TESTED}; if anything is odd: {INSTALL}"
        for name, version in found.items()
        if version != TESTED
    ]


def _old_card(facts: Facts, compute_dtype: str) -> list[str]:
    if facts.capability is None or _without_card(facts):
        return []
    if facts.capability >= BF16_CAPABILITY or compute_dtype != "auto":
        return []
    lacks = f"the card, of compute capability {facts.capability:g}, has no bfloat16: computing in"
    if facts.capability >= FLOAT16_CAPABILITY[0]:
        return [f"{lacks} float16 with a loss scale; should a model overflow in it, set model.compute_dtype=float32"]
    return [f"{lacks} float32, which is slower and takes twice the memory"]


def import_unsloth(*, offline: bool) -> None:
    """Import it, before transformers. BadInput where it cannot be imported.

    `offline` keeps the hub's libraries from asking the hub, which Unsloth does even of a model in a folder.
    """
    os.environ["UNSLOTH_DISABLE_STATISTICS"] = "1"
    os.environ.setdefault("UNSLOTH_COMPILE_LOCATION", str(compile_folder()))
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)  # it says what it did not find, and nobody can mend it
    if offline:
        os.environ.setdefault("HF_HUB_OFFLINE", "1")
    try:
        with quiet():
            import unsloth  # noqa: F401
    except Exception as error:  # a kernel that does not load, a library that it patches and does not know
        raise BadInput(
            f"model.engine: Unsloth cannot be imported ({type(error).__name__}: {one_line(error)}); "
            "set model.engine=native"
        ) from error


def compile_folder() -> Path:
    """Where it keeps the code that it generates; by default it would be the folder that the run starts in."""
    return user_folder("XDG_CACHE_HOME", "~/.cache") / "unsloth"


@contextmanager
def quiet() -> Iterator[None]:
    """Its banners would break `--json`, whose stdout is one event a line."""
    with redirect_stdout(StringIO()):
        yield

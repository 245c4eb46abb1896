"""Questions to this machine. Each answers with plain values, and none fails."""

import importlib
import logging
import os
import shutil
import warnings
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from threading import Thread
from typing import Any

from tina_lite.device import ask_driver
from tina_lite.doctor.checks import Card, Finding, Torch
from tina_lite.errors import one_line
from tina_lite.main_memory import available_bytes


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


def card() -> Card | None:
    facts = ask_driver("name", "memory.total", "driver_version")
    return Card(facts[0], int(facts[1]) if facts[1].isdigit() else 0, facts[2]) if facts else None


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


def quantize_a_little(device: str) -> None:
    """A matrix to NF4 and back. Raises what bitsandbytes raises, or ArithmeticError where the numbers are wrong."""
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
    from tina_lite.rewards.judges import math_verify
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
    from tina_lite.hub import unreachable

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
    """The folder itself, or the first above it that exists."""
    return next(folder for folder in (path.absolute(), *path.absolute().parents) if folder.is_dir())

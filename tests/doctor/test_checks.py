"""Each check on machines that are made up."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tina_lite import doctor
from tina_lite.doctor import GIB, CardFound, Torch
from tina_lite.policy.engine import TESTED, Facts

ADA = CardFound("NVIDIA GeForce RTX 4090", 24564, "560.35.03")
TORCH = Torch("2.13.0+cu130", "13.0", (8, 9), bf16=True, threads=16)
ON_CPU = Torch("2.13.0+cpu", None, None, bf16=False, threads=2)


def installed(**versions: str) -> Callable[[str], str | None]:
    return versions.get


def raises(error: Exception) -> Callable[[], None]:
    def quantize() -> None:
        raise error

    return quantize


def test_packages_that_are_new_enough() -> None:
    wishes = ["torch>=2.6", "click>=8.2", "reasoning-gym; extra == 'tasks'"]
    finding = doctor.check_packages(wishes, installed(torch="2.13.0+cpu", click="8.5.1"))
    assert finding.level == "ok"
    assert "torch 2.13.0+cpu" in finding.text
    assert "Python 3." in finding.text


def test_packages_that_are_old_or_missing_are_named_with_the_command() -> None:
    finding = doctor.check_packages(["torch>=2.6", "peft>=0.18", "click"], installed(torch="2.5.1", click="8.5.1"))
    assert finding.level == "fault"
    assert finding.text == "needs torch>=2.6, found 2.5.1, needs peft>=0.18, found none"
    assert finding.mend == "pip install 'torch>=2.6' 'peft>=0.18'"


@pytest.mark.parametrize(
    ("card", "torch", "level", "said", "mend"),
    [
        (ADA, TORCH, "ok", "NVIDIA GeForce RTX 4090, 24.0 GiB of VRAM, driver 560.35.03, compute capability 8.9", ""),
        (None, ON_CPU, "note", "runs use the CPU (2 threads)", "nvidia-smi"),
        (ADA, ON_CPU, "note", "torch 2.13.0+cpu is built for CPUs", "pip install --force-reinstall torch==2.13.0"),
        (ADA, Torch("2.13.0", "13.0", None, False, 4), "note", "out of reach", "install a driver for CUDA 13.0"),
    ],
)
def test_the_card(card: CardFound | None, torch: Torch, level: str, said: str, mend: str) -> None:
    finding = doctor.check_card(card, torch)
    assert finding.level == level
    assert said in finding.text
    assert mend in finding.mend
    assert bool(mend) == bool(finding.mend)


@pytest.mark.parametrize(
    ("torch", "level", "said"),
    [
        (TORCH, "ok", "the card computes in it"),
        (Torch("2.13.0", "12.6", (7, 5), False, 4), "note", "compute in float16"),
        (Torch("2.13.0", "12.6", (6, 1), False, 4), "note", "compute in float32"),
        (ON_CPU, "ok", "measured"),
    ],
)
def test_bf16(torch: Torch, level: str, said: str) -> None:
    finding = doctor.check_bf16(torch)
    assert finding.level == level
    assert said in finding.text


@pytest.mark.parametrize(
    ("share", "level", "said"),
    [(0.55, "note", "55% of the time so: model.fp16_accumulation: true is worth"), (1.02, "ok", "102% of the time")],
)
def test_sums_in_float16(share: float, level: str, said: str) -> None:
    finding = doctor.check_half_sums(lambda: share)
    assert finding.level == level
    assert said in finding.text


def test_sums_in_float16_that_cannot_be_measured() -> None:
    def fails() -> float:
        raise RuntimeError("CUDA out of memory.\n Tried to allocate 2 MiB")

    assert doctor.check_half_sums(fails).text == "not measured: CUDA out of memory. Tried to allocate 2 MiB"


def test_bitsandbytes_that_quantises() -> None:
    assert doctor.check_bitsandbytes(lambda: None).level == "ok"


@pytest.mark.parametrize(
    ("error", "said", "mend"),
    [
        (ModuleNotFoundError("No module named 'bitsandbytes'"), "cannot be imported", "pip install bitsandbytes"),
        (RuntimeError("CUDA Setup failed\n  no libcudart"), "fails: CUDA Setup failed no libcudart", "-m bitsandbytes"),
        (ArithmeticError("comes back as other numbers"), "other numbers", "-m bitsandbytes"),
    ],
)
def test_bitsandbytes_that_does_not(error: Exception, said: str, mend: str) -> None:
    finding = doctor.check_bitsandbytes(raises(error))
    assert finding.level == "fault"
    assert said in finding.text
    assert mend in finding.mend
    assert "model.quantization=none" in finding.mend


def test_unsloth() -> None:
    wishes = ["transformers<=5.17.0", "trl<=1.15.0", "torch<2.15"]
    have = {"unsloth": "2026.10.9", "torch": "2.13.0"}
    absent = doctor.check_unsloth(None, installed())
    assert (absent.level, absent.mend[:29]) == ("note", "pip install --no-deps unsloth")
    fits = doctor.check_unsloth(wishes, installed(**have, transformers="5.17.0"))
    assert fits.level == "ok", "trl is its own business"
    clash = doctor.check_unsloth(wishes, installed(**have, transformers="5.23.0"))
    assert clash.level == "note"
    assert "needs transformers<=5.17.0, found 5.23.0" in clash.text
    assert clash.mend == "pip install 'transformers<=5.17.0'"


def test_the_engine_that_a_run_would_use() -> None:
    facts = Facts(8.9, "2.13.0", TESTED, TESTED, None, frozenset({"transformers"}))
    assert doctor.check_engine(facts).text.startswith("native: its decode steps of qwen2 are replayed")
    assert doctor.check_engine(replace(facts, capability=None)).text == "native: no CUDA card"
    old = doctor.check_engine(replace(facts, capability=7.5))
    assert (old.level, "float32" in old.text) == ("note", True)


@pytest.mark.parametrize(("gib", "level"), [(1.4, "fault"), (1.5, "ok"), (64, "ok")])
def test_memory(gib: float, level: str) -> None:
    assert doctor.check_memory(int(gib * GIB)).level == level


@pytest.mark.parametrize(
    ("gib", "writable", "level", "said"),
    [
        (50, True, "ok", "50.0 GiB free"),
        (1.0, True, "note", "a run of the paper needs 1.5"),
        (0.05, True, "fault", "the smallest run needs 0.1"),
        (50, False, "fault", "/data cannot be written"),
    ],
)
def test_room_for_runs(gib: float, writable: bool, level: str, said: str) -> None:
    finding = doctor.check_run_folder(Path("/data"), int(gib * GIB), writable)
    assert finding.level == level
    assert said in finding.text
    assert ("--out FOLDER" in finding.mend) == (level != "ok")


@pytest.mark.parametrize(("gib", "level"), [(3, "note"), (40, "ok")])
def test_room_for_models(gib: float, level: str) -> None:
    finding = doctor.check_model_cache(Path("/cache"), int(gib * GIB))
    assert finding.level == level
    assert ("HF_HOME" in finding.mend) == (level == "note")


@pytest.mark.parametrize(
    ("offline", "answers", "level", "mend"),
    [(False, True, "ok", ""), (False, False, "note", "--model FOLDER"), (True, None, "note", "unset HF_HUB_OFFLINE")],
)
def test_the_hub(offline: bool, answers: bool | None, level: str, mend: str) -> None:
    def answer(limit_s: float) -> bool:
        assert answers is not None, "not asked where the user said so"
        assert limit_s <= 5
        return answers

    finding = doctor.check_hub(offline, answer)
    assert finding.level == level
    assert mend in finding.mend


@pytest.mark.parametrize(
    ("card", "environment", "level", "said"),
    [
        ("NVIDIA L40S", {}, "ok", "$1.00/h (catalogue: L40S at tina-paper)"),
        (None, {"TINA_LITE_RATE": "0.2"}, "ok", "$0.20/h (TINA_LITE_RATE)"),
        (None, {}, "note", "none is known for this machine"),
        ("Voodoo 2", {}, "note", "none is known for Voodoo 2"),
        ("NVIDIA L40S", {"TINA_LITE_RATE": "cheap"}, "fault", "TINA_LITE_RATE: got cheap"),
    ],
)
def test_the_price(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    card: str | None,
    environment: dict[str, str],
    level: str,
    said: str,
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    finding = doctor.check_price(card, environment)
    assert finding.level == level
    assert said in finding.text
    assert ("prices.csv" in finding.mend) == (card == "Voodoo 2"), "a list by card helps only where there is one"


@pytest.mark.parametrize(
    ("verdict", "level", "said"),
    [(True, "ok", "1/2 is 0.5"), (False, "fault", "False"), (None, "fault", "no answer in time")],
)
def test_the_judge_must_find_two_forms_of_a_number_equal(verdict: object, level: str, said: str) -> None:
    finding = doctor.check_judge(lambda: verdict)
    assert finding.level == level
    assert said in finding.text


def test_a_judge_that_cannot_be_started_is_a_fault() -> None:
    def broken() -> object:
        raise OSError("no more processes")

    finding = doctor.check_judge(broken)
    assert (finding.level, "no more processes" in finding.text) == ("fault", True)

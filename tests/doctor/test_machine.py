"""The questions to the machine, on the one that is at hand."""

import sys
import threading
from pathlib import Path
from types import ModuleType

import pytest

from tina_lite import doctor
from tina_lite.doctor import CardFound, Finding, Torch, examine
from tina_lite.util import hub


def test_an_installed_package_and_one_that_is_none() -> None:
    assert doctor.version_of("click") is not None
    assert any(wish.startswith("torch") for wish in doctor.wishes_of("tina-lite") or [])
    assert doctor.version_of("no-such-package") is None
    assert doctor.wishes_of("no-such-package") is None


def test_the_card_by_its_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    said = ["NVIDIA L40S", "46068", "550.54"]
    monkeypatch.setattr(doctor, "ask_driver", lambda *_: said)
    assert doctor.card() == CardFound("NVIDIA L40S", 46068, "550.54")
    said[1] = "[N/A]"
    assert doctor.card() == CardFound("NVIDIA L40S", 0, "550.54")
    monkeypatch.setattr(doctor, "ask_driver", lambda *_: None)
    assert doctor.card() is None


def test_torch_says_what_it_computes_on() -> None:
    found = doctor.torch()
    assert isinstance(found, Torch)
    assert found.threads >= 1


def test_a_torch_that_cannot_be_loaded_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = ModuleType("torch")
    monkeypatch.setitem(sys.modules, "torch", broken)
    found = doctor.torch()
    assert isinstance(found, Finding)
    assert (found.level, found.mend) == ("fault", "pip install --force-reinstall torch")


def test_a_little_is_quantised_and_wrong_numbers_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    import bitsandbytes.functional as functional

    doctor.quantize_a_little("cpu")
    monkeypatch.setattr(functional, "dequantize_4bit", lambda packed, state: packed.new_zeros(64, 64).float())
    with pytest.raises(ArithmeticError):
        doctor.quantize_a_little("cpu")


def test_a_hub_that_does_not_answer_in_time_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    never = threading.Event()
    monkeypatch.setattr(hub, "unreachable", lambda ask: never.wait(30))
    assert not doctor.hub_answers(0.01)
    never.set()
    monkeypatch.setattr(hub, "unreachable", lambda ask: False)
    assert doctor.hub_answers(30.0)
    monkeypatch.setattr(hub, "unreachable", lambda ask: True)
    assert not doctor.hub_answers(30.0)


def test_a_folder_that_is_not_there_yet_has_its_parents_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder, free, writable = doctor.run_folder()
    assert (folder, writable) == (tmp_path, True)
    assert free > 0
    (tmp_path / "runs").mkdir()
    assert doctor.run_folder()[0] == tmp_path / "runs"
    assert doctor.nearest_folder(tmp_path / "a" / "b") == tmp_path


def test_every_check_is_made_on_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "hub_answers", lambda _: True)
    names = [finding.what for finding in examine()]
    assert names == [
        "packages", "card", "bf16", "bitsandbytes", "math-verify", "unsloth", "engine", "memory", "run folder",
        "model cache", "hub", "price",
    ]  # fmt: skip


def test_without_the_packages_nothing_else_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "wishes_of", lambda _: ["no-such-package"])
    assert [finding.what for finding in examine()] == ["packages"]


def test_the_judge_of_this_machine_judges() -> None:
    assert doctor.judge_a_little() is True

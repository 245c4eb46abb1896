"""Cards by name, a CPU by measurement, and a shape by its config.json."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from tina_lite.budget import catalogue
from tina_lite.plan import device, find_device, read_shape
from tina_lite.plan.device import ASSUMED, GIB, CpuSpeed, cache_file, card_named, cards, cpu_speed
from tina_lite.policy.model_folder import TINY_BASE, shipped_models
from tina_lite.util.errors import BadInput

TINY = read_shape(TINY_BASE)
FAST = CpuSpeed(1e11, 4e11, 2e10, 1e-5, "bfloat16")


def test_every_card_with_a_price_has_a_speed():
    assert [offer.gpu for offer in catalogue() if card_named(offer.gpu) is None] == []
    assert all(card.tflops > 0 and card.bandwidth_gb_s > 0 and card.source for card in cards())


def test_a_card_is_a_share_of_what_its_maker_says():
    card = find_device(TINY, gpu="NVIDIA GeForce RTX 4090")
    assert (card.name, card.card, card.memory, card.dtype) == ("RTX 4090", True, 24 * GIB, "bfloat16")
    assert card.bandwidth == pytest.approx(0.7 * 1008e9)
    assert find_device(TINY, "float32", gpu="4090").flops < card.flops
    assert find_device(TINY, gpu="V100").dtype == "float16"
    assert find_device(TINY, "float16", gpu="4090").flops == card.flops
    assert find_device(TINY, gpu="4090", vram_gib=12).memory == 12 * GIB


def test_a_card_known_by_its_memory_is_as_slow_as_any():
    some = find_device(TINY, vram_gib=20)
    assert some.memory == 20 * GIB
    assert some.bandwidth == min(0.7 * card.bandwidth_gb_s * 1e9 for card in cards() if card.vram_gib >= 20)
    assert some.priced_as in some.name
    assert some.priced_as in some.assumptions[0]


def test_a_card_of_this_machine_that_is_not_in_the_table_is_planned_by_its_memory(monkeypatch):
    monkeypatch.setattr(device, "usable_card", lambda: "NVIDIA GeForce RTX 4080")
    monkeypatch.setattr(device, "card_memory_gib", lambda: 15.99)
    own = find_device(TINY)
    assert own.name == own.priced_as == "NVIDIA GeForce RTX 4080"
    assert own.memory == int(15.99 * GIB)
    assert own.bandwidth == find_device(TINY, gpu="4060 Ti").bandwidth
    monkeypatch.setattr(device, "card_memory_gib", lambda: None)
    with pytest.raises(BadInput, match="--vram GIB"):
        find_device(TINY)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"gpu": "RTX 4091"}, "did you mean RTX 4090?"),
        ({"gpu": "abacus"}, "known are RTX 3060"),
        ({"vram_gib": 0}, "--vram: got 0"),
        ({"vram_gib": float("nan")}, "--vram: got nan"),
        ({"vram_gib": 5000}, "no card in the table"),
    ],
)
def test_a_card_that_is_not_known_is_one_line(options, said):
    with pytest.raises(BadInput, match=r"^--") as error:
        find_device(TINY, **options)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_this_machine_is_its_card_else_its_cpu(monkeypatch):
    asked = []

    def measure(hidden, intermediate):
        asked.append((hidden, intermediate))
        return FAST

    monkeypatch.setattr(device, "usable_card", lambda: None)
    monkeypatch.setattr(device, "cpu_speed", measure)
    own = find_device(TINY)
    assert (own.card, own.dtype, own.flops, own.attention_flops) == (False, "bfloat16", 4e11, 0.5e11)
    assert find_device(TINY, "float32").flops == 1e11
    monkeypatch.setattr(device, "usable_card", lambda: "NVIDIA L40S")
    monkeypatch.setattr(device, "card_memory_gib", lambda: None)
    assert find_device(TINY).name == "L40S"
    assert asked == [(TINY.hidden, TINY.intermediate)] * 2


@pytest.fixture
def probed(monkeypatch, tmp_path):
    """Counts measurements, and gives them instead of a child process."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    calls = []
    said = {"float32": 1e11, "bfloat16": 4e11, "bandwidth": 2e10, "call_s": 1e-5, "dtype": "bfloat16"}

    def run(command, **_):
        calls.append(command[-2:])
        return subprocess.CompletedProcess(command, 0, json.dumps(said), "")

    monkeypatch.setattr(device.subprocess, "run", run)
    monkeypatch.setattr(device.os, "getloadavg", lambda: (0.0, 4.0, 4.0))
    return calls


def test_a_cpu_is_measured_once_a_day_for_each_shape(probed, monkeypatch):
    assert cpu_speed(192, 512) == cpu_speed(192, 512) == FAST
    assert cpu_speed(192, 513) == FAST
    assert probed == [["192", "512"], ["192", "513"]]
    now = device.time.time()
    monkeypatch.setattr(device.time, "time", lambda: now + 2 * 24 * 3600)
    assert cpu_speed(192, 512) == FAST
    assert len(probed) == 3


def test_a_busy_cpu_is_measured_again_after_ten_minutes(probed, monkeypatch):
    now = device.time.time()
    monkeypatch.setattr(device.os, "getloadavg", lambda: (0.6 * os.cpu_count(), 0.0, 0.0))
    for minutes in (0, 9, 11, 20):
        monkeypatch.setattr(device.time, "time", lambda at=now + 60 * minutes: at)
        assert cpu_speed(192, 512) == FAST
    assert len(probed) == 2


@pytest.mark.parametrize("kept", ["", "[1]", '{"a": 1}', '{"a": {"at": 1}}'])
def test_measurements_that_cannot_be_read_are_made_anew(probed, kept):
    cache_file().parent.mkdir()
    cache_file().write_text(kept)
    assert cpu_speed(192, 512) == FAST
    assert cpu_speed(192, 512) == FAST
    assert len(probed) == 1


def test_without_a_measurement_a_slow_machine_is_assumed(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    def run(command, **_):
        raise subprocess.CalledProcessError(1, command)

    monkeypatch.setattr(device.subprocess, "run", run)
    assert cpu_speed(192, 512) == ASSUMED
    assert not cache_file().exists()
    own = device.on_cpu(ASSUMED, "auto", GIB)
    assert "could not be measured" in own.assumptions[0]


@pytest.mark.slow
def test_the_probe_measures_this_machine(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    speed = cpu_speed(192, 512)
    assert speed != ASSUMED
    assert speed.float32 > 1e8
    assert speed.bandwidth > 1e7
    assert 0 < speed.call_s < 0.1


def test_shapes_shipped_have_the_sizes_that_their_makers_print():
    """Billions of parameters from the model cards, embeddings included."""
    known = {
        "Qwen/Qwen2.5-0.5B": 0.494,
        "Qwen/Qwen2.5-1.5B-Instruct": 1.544,
        "Qwen/Qwen2.5-3B-Instruct": 3.086,
        "Qwen/Qwen3-0.6B": 0.596,
        "Qwen/Qwen3-0.6B-Base": 0.596,
        "deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B": 1.777,
        "meta-llama/Llama-3.2-1B-Instruct": 1.236,
        "HuggingFaceTB/SmolLM2-135M-Instruct": 0.1345,
        "HuggingFaceTB/SmolLM2-360M-Instruct": 0.3618,
        "HuggingFaceTB/SmolLM2-1.7B-Instruct": 1.711,
    }
    for name, billions in known.items():
        assert read_shape(name).parameters / 1e9 == pytest.approx(billions, rel=1e-3), name
    assert all(read_shape(name).dense for name in shipped_models())


def test_a_folder_is_read_by_its_config_alone(tmp_path):
    config = json.loads((Path(device.__file__).parent.parent / "base" / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert read_shape(str(tmp_path)) == TINY
    for change, said in (({"hidden_size": None}, "has no hidden_size"), ({"num_experts": 8}, "mixture of experts")):
        (tmp_path / "config.json").write_text(json.dumps({**config, **change}))
        with pytest.raises(BadInput, match=said):
            read_shape(str(tmp_path))
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(BadInput, match="cannot be read as JSON"):
        read_shape(str(tmp_path))


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("./nowhere", "no config.json there"),
        ("builtin:tinny", "did you mean builtin:tiny"),
        ("nobody/nothing", "hub is switched off"),
        ("not a model", "--model FOLDER"),
    ],
)
def test_a_model_without_a_config_is_one_line(model, said, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(BadInput, match=r"^model\.id: ") as error:
        read_shape(model)
    assert said in str(error.value)
    assert "\n" not in str(error.value)

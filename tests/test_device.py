"""The card, as a made-up nvidia-smi tells it."""

from pathlib import Path

import pytest

from tina_lite.util import device
from tina_lite.util.device import ask_driver, card_capability, card_name, refuse_other_card, usable_card, visible_card
from tina_lite.util.errors import BadInput


@pytest.fixture
def smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Puts an nvidia-smi on the path that answers so; gives the file that keeps its arguments."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    def install(answer: str, status: int = 0) -> Path:
        script = tmp_path / "nvidia-smi"
        script.write_text(f"#!/bin/sh\necho \"$@\" > {tmp_path}/asked\nprintf '{answer}'\nexit {status}\n")
        script.chmod(0o755)
        return tmp_path / "asked"

    return install


def test_the_card_is_named_as_its_driver_names_it(smi) -> None:
    asked = smi("NVIDIA GeForce RTX 4090, 24564, 560.35.03\\n")
    facts = ask_driver("name", "memory.total", "driver_version")
    assert facts == ["NVIDIA GeForce RTX 4090", "24564", "560.35.03"]
    assert asked.read_text().split() == [
        "--id=0",
        "--query-gpu=name,memory.total,driver_version",
        "--format=csv,noheader,nounits",
    ]
    smi("NVIDIA L40S\\n")
    assert card_name() == "NVIDIA L40S"


@pytest.mark.parametrize(
    ("answer", "status"),
    [("", 0), ("\\n", 0), ("No devices were found\\n", 6), ("NVIDIA-SMI has failed, no driver\\n", 0)],
)
def test_a_driver_that_does_not_answer_is_no_card(smi, answer: str, status: int) -> None:
    smi(answer, status)
    assert card_name() is None


@pytest.mark.parametrize(
    ("visible", "card"),
    [
        ("1", "1"),
        ("2,0", "2"),
        ("GPU-89,GPU-90", "GPU-89"),
        ("none", None),
        ("NoDevFiles", None),
        ("", None),
        ("-1", None),
    ],
)
def test_the_card_is_the_first_that_cuda_may_use(
    smi, monkeypatch: pytest.MonkeyPatch, visible: str, card: str | None
) -> None:
    asked = smi("NVIDIA L40S\\n")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert visible_card() == card
    assert card_name() == ("NVIDIA L40S" if card else None)
    assert asked.exists() == (card is not None)
    assert card is None or asked.read_text().startswith(f"--id={card} ")


CARDS = """\
GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-11111111-aaaa)
  MIG 1g.10gb     Device  0: (UUID: MIG-22222222-bbbb)
  MIG 2g.20gb     Device  1: (UUID: MIG-33333333-cccc)
GPU 1: NVIDIA L40S (UUID: GPU-44444444-dddd)
"""


@pytest.mark.parametrize(
    ("visible", "asked", "facts"),
    [
        ("GPU-44444444", "GPU-44444444-dddd", ["NVIDIA H100 80GB HBM3", "81559"]),
        ("MIG-33333333-cccc", "GPU-11111111-aaaa", ["NVIDIA H100 80GB HBM3 MIG 2g.20gb", "19456"]),
        ("MIG-2222", "GPU-11111111-aaaa", ["NVIDIA H100 80GB HBM3 MIG 1g.10gb", "9728"]),
        ("GPU-9", "GPU-9", ["NVIDIA H100 80GB HBM3", "81559"]),
    ],
)
def test_a_card_or_a_slice_by_the_beginning_of_its_uuid(tmp_path, monkeypatch, visible, asked, facts) -> None:
    (tmp_path / "cards").write_text(CARDS)
    script = tmp_path / "nvidia-smi"
    queried = f"echo $1 > {tmp_path}/asked; echo NVIDIA H100 80GB HBM3, 81559"
    script.write_text(f'#!/bin/sh\nif [ "$1" = -L ]; then cat {tmp_path}/cards; else {queried}; fi\n')
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert ask_driver("name", "memory.total") == facts
    assert (tmp_path / "asked").read_text() == f"--id={asked}\n"


@pytest.mark.parametrize(("answer", "capability"), [("8.9\\n", 8.9), ("[N/A]\\n", None), ("", None)])
def test_the_compute_capability(smi, answer: str, capability: float | None) -> None:
    smi(answer)
    assert card_capability() == capability


class FakeCuda:
    """What torch.cuda says of a machine."""

    def __init__(self, name: str | None) -> None:
        self.name = name

    def is_available(self) -> bool:
        return self.name is not None

    def get_device_name(self, index: int) -> str:
        assert index == 0
        assert self.name is not None
        return self.name


@pytest.mark.parametrize("version", ["2.13.0+cpu", "2.13.0"])
def test_a_card_that_torch_was_not_built_for_is_not_billed(smi, monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    smi("NVIDIA L40S\\n")
    monkeypatch.setattr(device.metadata, "version", lambda package: version)
    assert usable_card() == (None if version.endswith("+cpu") else "NVIDIA L40S")


@pytest.mark.parametrize(
    ("used", "said"),
    [
        (None, "torch cannot use it"),
        ("NVIDIA GeForce GTX 1080", "the price is that of NVIDIA L40S, but torch computes on NVIDIA GeForce GTX 1080"),
    ],
)
def test_a_card_is_refused_that_is_billed_and_does_not_compute(used: str | None, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        refuse_other_card("NVIDIA L40S", FakeCuda(used))


@pytest.mark.parametrize("used", ["NVIDIA L40S", "NVIDIA L40S MIG 1g.12gb"])
def test_the_card_that_computes_is_the_one_that_is_billed(used: str) -> None:
    refuse_other_card("NVIDIA L40S", FakeCuda(used))
    refuse_other_card(None, FakeCuda(None))

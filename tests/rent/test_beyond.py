"""The command against SkyPilot's own parser and catalogue, offline: prices stand in files where it keeps them."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = [
    pytest.mark.beyond,
    pytest.mark.skipif(shutil.which("sky") is None, reason="needs SkyPilot's program `sky`"),
]
GPU = "{'Gpus': [{'Name': 'any', 'MemoryInfo': {'SizeInMiB': 24576}}]}"
CATALOGUE = f"""\
InstanceType,AcceleratorName,AcceleratorCount,vCPUs,MemoryGiB,GpuInfo,Price,SpotPrice,Region,AvailabilityZone
1x_L4_SECURE,L4,1.0,4.0,16.0,"{GPU}",0.70,0.28,US,US-KS-2
1x_L4_SECURE,L4,1.0,4.0,16.0,"{GPU}",0.76,0.30,CA,CA-MTL-1
1x_L4_SECURE,L4,1.0,4.0,16.0,"{GPU}",0.95,0.40,JP,AP-JP-1
1x_A100-80GB_SECURE,A100-80GB,1.0,12.0,170.0,"{GPU}",5.07,1.57,US,US-KS-2
1x_H100_SECURE,H100,1.0,26.0,234.0,"{GPU}",11.06,3.72,US,US-KS-2
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home whose catalogue has RunPod alone."""
    catalogue = tmp_path / ".sky" / "catalogs" / "v8" / "runpod" / "vms.csv"
    catalogue.parent.mkdir(parents=True)
    catalogue.write_text(CATALOGUE)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("recipe", "more", "price"),
    [
        ("quickstart", ["--gpu", "L4:1"], "at most $0.76/h (SkyPilot: RunPod); the cheapest asks $0.70"),
        ("smollm2-cpu", ["--gpu", "A100-80GB", "--spot", "--bucket", "mine"], "at most $1.57/h"),
        ("paper/open-rs2", ["--gpu", "H100", "--max-usd", "5"], "at most $11.06/h"),
    ],
)
def test_skypilot_reads_the_task(
    home: Path, tina: Callable[..., Any], recipe: str, more: list[str], price: str
) -> None:
    """Four seconds each: SkyPilot is started twice."""
    said = tina("launch", recipe, "--cloud", "runpod", "--dry-run", *more)
    assert said.code == 0, said.err
    assert price in said.out
    assert (home / "launches").is_dir()


def test_a_card_that_nobody_offers_is_said_in_a_line(home: Path, tina: Callable[..., Any]) -> None:
    said = tina("launch", "quickstart", "--cloud", "runpod", "--gpu", "L5", "--dry-run")
    assert (said.code, said.err.count("\n")) == (2, 1)
    assert "no machine with it" in said.err


def test_what_skypilot_refuses_is_said_in_a_line(home: Path, tina: Callable[..., Any]) -> None:
    said = tina("launch", "quickstart", "--cloud", "nowhere", "--rate", "1", "--dry-run")
    assert (said.code, said.err.count("\n")) == (2, 1)
    assert "nowhere" in said.err

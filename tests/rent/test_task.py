"""A recipe as a task for a rented machine: what goes there, what is spent there."""

import os
import stat
import subprocess
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tina_lite.recipe import load_recipe
from tina_lite.recipe.file import shipped_recipes
from tina_lite.rent.price import price_of
from tina_lite.rent.task import BOOT_S, JOB, Rental, pins, run_of, task_of, text_of
from tina_lite.util.errors import BadInput

ON_DEMAND = Rental("L4", None, spot=False, bucket=None, rate=0.8, max_usd=5.0)
SPOT = replace(ON_DEMAND, spot=True, bucket="mine", cloud="gcp")


def test_local_files_go_along_and_the_recipe_names_them_there(tmp_path: Path) -> None:
    (tmp_path / "problems.jsonl").write_text('{"question": "1+1", "answer": "2"}\n')
    (tmp_path / "mine.py").write_text("def nice(prompts, completions, **kwargs): return [1.0 for _ in completions]\n")
    path = tmp_path / "recipe.yaml"
    path.write_text(
        "extends: quickstart\nname: local\ndata: {source: problems.jsonl}\n"
        "rewards: [{name: ./mine.py:nice, weight: 1}]\neval: {benchmarks: [own=problems.jsonl]}\n"
    )
    task = task_of(load_recipe(path), ON_DEMAND, tmp_path / "launch")
    files = {there: here for there, here in task["file_mounts"].items() if "/files/" in there}
    assert files == {
        f"{JOB}/files/0/problems.jsonl": str(tmp_path / "problems.jsonl"),
        f"{JOB}/files/1/mine.py": str(tmp_path / "mine.py"),
    }
    for there, here in task["file_mounts"].items():  # as the machine would have it
        place = tmp_path / "machine" / there.removeprefix(f"{JOB}/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(here)
    there = load_recipe(tmp_path / "machine" / "recipe.yaml")
    assert (there.data.source, there.rewards[0].name) == ("files/0/problems.jsonl", "files/1/mine.py:nice")
    assert there.eval.benchmarks == ("own=files/0/problems.jsonl",)


def test_what_is_rented_is_what_was_asked_for(tmp_path: Path) -> None:
    recipe = load_recipe(shipped_recipes()["quickstart"])
    resources = task_of(recipe, ON_DEMAND, tmp_path)["resources"]
    assert (resources["accelerators"], resources["max_hourly_cost"], resources["use_spot"]) == ("L4:1", 0.8, False)
    assert resources["autostop"] == {"idle_minutes": 10, "down": True}
    task = task_of(recipe, SPOT, tmp_path)
    assert (task["resources"]["infra"], task["resources"]["use_spot"]) == ("gcp", True)
    assert task["file_mounts"]["~/runs"] == {"name": "mine", "mode": "MOUNT_CACHED"}
    assert "set -e\n" in text_of(task)


def test_the_machine_gets_the_versions_that_are_here() -> None:
    assert f"click=={version('click')}" in pins()
    assert not [pin for pin in pins() if "+" in pin or pin.startswith(("pytest", "wandb"))]


SECONDS = st.lists(st.integers(0, 2000), min_size=1, max_size=4)


@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(SECONDS, st.booleans())
def test_every_start_so_far_is_off_the_cap(
    tmp_path_factory: pytest.TempPathFactory, starts: list[int], spot: bool
) -> None:
    """The script as the machine runs it, with a clock and a tina-lite that only says how it was called."""
    home = tmp_path_factory.mktemp("home")
    (home / "tina-lite-job").mkdir()
    for name, text in {"date": "cat ~/now", "tina-lite": 'echo "$@" > ~/called'}.items():
        program = home / "tina-lite-venv" / "bin" / name
        program.parent.mkdir(parents=True, exist_ok=True)
        program.write_text(f"#!/bin/sh\n{text}\n")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
    path = f"{home}/tina-lite-venv/bin:{os.environ['PATH']}"
    rental = SPOT if spot else ON_DEMAND
    script = run_of(load_recipe(shipped_recipes()["quickstart"]), rental)
    now = 1_000_000
    for seconds in starts:
        (home / ".tina-lite-began").write_text(f"{now}\n")
        for later in (now + seconds, now + seconds + 500):  # a second start on the same machine is the run's own time
            (home / "now").write_text(f"{later}\n")
            subprocess.run(["bash", "-c", script], env={"HOME": str(home), "PATH": path}, check=True)
        now += 10_000
    said = (home / "called").read_text().split()
    beside = sum(seconds + BOOT_S for seconds in starts) + rental.wait_s
    assert float(said[-1]) == pytest.approx(rental.max_usd - beside * rental.rate / 3600, abs=1e-4)
    assert said[:2] == ["run", "recipe.yaml"]


def test_the_price_is_that_of_the_dearest_offer_that_is_taken() -> None:
    offers = [
        {"cloud": "GCP", "price": 0.70, "spot_price": 0.25},
        {"cloud": "AWS", "price": 0.80, "spot_price": None},
        {"cloud": "Lambda", "price": 0.76, "spot_price": float("nan")},
    ]
    on_demand, spot = (price_of(offers, "L4:1", spot=spot) for spot in (False, True))
    assert (on_demand.usd_per_hour, on_demand.cheapest, on_demand.source) == (0.76, 0.70, "SkyPilot: GCP, Lambda")
    assert (spot.usd_per_hour, spot.source) == (0.25, "SkyPilot: GCP")
    with pytest.raises(BadInput, match="no machine with it"):
        price_of([], "L4:1", spot=False)

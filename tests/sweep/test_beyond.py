"""Sweeps on Ray: the same adapters as by hand, one bill, whatever is killed. They take from seconds to a minute."""

import random
import signal
import time
from pathlib import Path

import pytest
from sweeps import MAX_USD, RATE, Part, adapters, begun, by_hand, part_of, record, until, written

pytestmark = [pytest.mark.beyond, pytest.mark.slow]
pytest.importorskip("ray")
LEARNS = """\
extends: quickstart
name: learns
rollout: {prompts_per_step: 8}
eval: {every: 5, problems: 100, samples: 1}
stop: {max_steps: 40}
"""


def test_six_trials_on_two_workers_are_those_that_are_started_by_hand(tmp_path: Path) -> None:
    path, out = written(tmp_path, "grid: {lora.r: [4, 8]}\nseeds: [1, 2, 3]"), tmp_path / "out"
    began = time.monotonic()
    driver = begun(path, out)
    assert driver.wait(300) == 0, out.with_suffix(".log").read_text()
    usd = (time.monotonic() - began) / 3600 * RATE
    found = record(out)
    assert [trial["state"] for trial in found["trials"]] == ["done"] * 6
    assert found["usd"] == pytest.approx(usd, rel=0.1)
    assert found["usd"] <= MAX_USD
    mine = adapters(out)
    assert len(set(mine.values())) == 6
    for folder in random.sample(sorted(mine), 2):
        assert by_hand(out, folder) == mine[folder]


@pytest.mark.parametrize("part", ["trial", "worker", "driver"])
def test_whatever_is_killed_the_sweep_ends_as_if_nothing_had_happened(
    tmp_path: Path, part: Part, straight: dict[str, str]
) -> None:
    path, out = written(tmp_path, "seeds: [1, 2]"), tmp_path / "out"
    began = time.monotonic()
    driver = begun(path, out)
    until(lambda: list(out.glob("trials/*/metrics.jsonl")))
    time.sleep(random.uniform(0.0, 3.0))
    victim = part_of(driver.pid, part)
    assert victim
    victim.send_signal(signal.SIGKILL)
    if part == "driver":
        driver.wait(60)
        driver = begun(path, out, "--resume")
    assert driver.wait(300) == 0, out.with_suffix(".log").read_text()
    usd = (time.monotonic() - began) / 3600 * RATE
    assert adapters(out) == straight
    assert record(out)["usd"] == pytest.approx(usd, rel=0.15)


def test_a_node_of_a_cluster_that_goes_takes_nothing_along(tmp_path: Path, straight: dict[str, str]) -> None:
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    try:
        node = cluster.add_node(num_cpus=1)
        cluster.wait_for_nodes()
        path, out = written(tmp_path, "seeds: [1, 2]"), tmp_path / "out"
        driver = begun(path, out, "--address", cluster.address)
        until(lambda: len(list(out.glob("trials/*/metrics.jsonl"))) == 2)
        cluster.remove_node(node, allow_graceful=False)
        assert driver.wait(300) == 0, out.with_suffix(".log").read_text()
    finally:
        cluster.shutdown()
    assert adapters(out) == straight
    starts = [line for line in (out / "journal.jsonl").read_text().splitlines() if '"start"' in line]
    assert len(starts) in (3, 4)  # Ray may not have seen yet that the node is gone
    assert all('"machine": "own"' in line for line in starts)  # both nodes are this machine, which is paid once


def test_the_weak_are_ended_and_the_rest_go_on(tmp_path: Path) -> None:
    """A trial that learns, and one whose learning rate is nothing."""
    text = "settings: [{optim.learning_rate: 1.0e-3}, {optim.learning_rate: 1.0e-8}]\nscheduler: asha"
    path, out = written(tmp_path, text), tmp_path / "out"
    (tmp_path / "small.yaml").write_text(LEARNS)
    driver = begun(path, out)
    assert driver.wait(300) == 0, out.with_suffix(".log").read_text()
    found = {trial["trial"]: trial for trial in record(out)["trials"]}
    assert (found[1]["state"], found[2]["state"]) == ("done", "weak")
    assert "it is worse than the middle one of other settings" in found[2]["why"]
    assert found[2]["steps"] < 40


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Adapters of the same sweep to which nothing happened."""
    folder = tmp_path_factory.mktemp("straight")
    assert begun(written(folder, "seeds: [1, 2]"), folder / "out").wait(300) == 0
    return adapters(folder / "out")

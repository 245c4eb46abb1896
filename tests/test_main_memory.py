"""Main memory on made-up machines: the container's limit counts as the machine's does."""

from pathlib import Path

import pytest

from tina_lite.util.memory import UNKNOWN_BYTES, available_bytes

GIB = 1024**3


@pytest.fixture
def machine(tmp_path: Path):
    """Writes files under a root of its own; 8 GiB are available on it."""

    def write(**files: str) -> Path:
        for name, text in {"proc/meminfo": f"MemTotal: 9 kB\nMemAvailable:  {8 * 1024**2} kB\n", **files}.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return tmp_path

    return write


def test_without_a_limit_it_is_the_machines(machine):
    assert available_bytes(machine()) == 8 * GIB
    unlimited = {"sys/fs/cgroup/memory.max": "max\n", "sys/fs/cgroup/memory.current": "77\n"}
    assert available_bytes(machine(**unlimited)) == 8 * GIB


def test_where_nothing_is_said_little_is_assumed(tmp_path):
    assert available_bytes(tmp_path) == UNKNOWN_BYTES


@pytest.mark.parametrize(
    ("folder", "names", "told"),
    [
        ("sys/fs/cgroup", ("memory.max", "memory.current"), "inactive_file"),
        ("sys/fs/cgroup/pods/one", ("memory.max", "memory.current"), "inactive_file"),
        ("sys/fs/cgroup/memory", ("memory.limit_in_bytes", "memory.usage_in_bytes"), "total_inactive_file"),
        ("sys/fs/cgroup/memory/pods", ("memory.limit_in_bytes", "memory.usage_in_bytes"), "total_inactive_file"),
    ],
    ids=["second version", "a group above", "first version", "a group of the first above"],
)
def test_a_container_leaves_its_limit_less_what_is_used_and_is_no_file(machine, folder, names, told):
    limit, usage = names
    kind = "" if limit == "memory.max" else "memory"
    files = {
        "proc/self/cgroup": f"4:cpu:/other\n0:{kind}:/pods/one/mine\n",
        f"{folder}/{limit}": f"{3 * GIB}\n",
        f"{folder}/{usage}": f"{2 * GIB}\n",
        f"{folder}/memory.stat": f"anon 5\n{told} {GIB // 2}\n",
    }
    assert available_bytes(machine(**files)) == 3 * GIB // 2


def test_what_is_used_up_leaves_nothing(machine):
    full = {"sys/fs/cgroup/memory.max": "1000", "sys/fs/cgroup/memory.current": "5000"}
    assert available_bytes(machine(**full)) == 0


def test_this_machine_has_some():
    assert 10**8 < available_bytes() < 10**14

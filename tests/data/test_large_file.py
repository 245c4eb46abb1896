"""A large .jsonl is not held in memory. The full measurement, a million rows, is bench/data.py."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROWS = 100_000
MOST_BYTES = 90e6
"""The file has 53 MB, its rows as Python objects some 120; an interpreter with this package 25."""

PROGRAM = """
from tina_lite.data import DataSection, hold_out, load_problems
train, held = hold_out(load_problems(DataSection(source="big.jsonl")), 0.05)
assert len(train) + len(held) == 100_000
assert train[len(train) // 2].answer
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
print(int(status["VmHWM"].split()[0]) * 1024)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak from /proc")
def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    row = '{"question": "%d: ' + "how many? " * 25 + '", "answer": "' + "so and so, " * 20 + '#### %d"}\n'
    with (tmp_path / "big.jsonl").open("w") as file:
        file.writelines(row % (n, n) for n in range(ROWS))
    command = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(command, cwd=tmp_path, env=dict(os.environ), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < MOST_BYTES

"""Sweeps of the tiny base on Ray, as processes: what may be killed of one, and what it leaves."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

import psutil

RATE = 0.2
MAX_USD = 0.1
THREADS = 1
RECIPE = """\
name: small
model: {id: builtin:tiny, compute_dtype: float32}
lora: {r: 4, alpha: 16, dropout: 0.1}
data: {source: arithmetic}
rollout: {prompts_per_step: 2, num_generations: 4, max_prompt_length: 64, max_completion_length: 16, temperature: 1.0}
optim: {learning_rate: 1.0e-3, micro_batch_tokens: 256}
checkpoint: {every_steps: 5}
stop: {max_steps: 30}
eval: {benchmarks: [held_out], problems: 4, samples: 1}
"""
Part = Literal["driver", "worker", "trial"]


def written(folder: Path, text: str) -> Path:
    """A sweep file for `RECIPE`, of one processor a trial."""
    (folder / "small.yaml").write_text(RECIPE)
    path = folder / "sweep.yaml"
    budget = f"budget: {{max_usd: {MAX_USD}, rate: {RATE}}}"
    path.write_text(f"recipe: small.yaml\n{budget}\nper_trial: {{cpus: {THREADS}}}\n{text}\n")
    return path


def command(*words: object) -> list[str]:
    return [sys.executable, "-m", "tina_lite.cli.main", *map(str, words)]


def begun(path: Path, out: Path, *more: str) -> subprocess.Popen[bytes]:
    """The driver; what it says goes into OUT.log."""
    with out.with_suffix(".log").open("ab") as log:
        words = command("sweep", path, "--out", out, *more)
        return subprocess.Popen(words, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True)


def part_of(driver: int, part: Part) -> psutil.Process | None:
    """A process of a sweep that has one, the first by number."""
    if part == "driver":
        return psutil.Process(driver)
    found = sorted(psutil.Process(driver).children(recursive=True), key=lambda one: one.pid)
    for process in found:
        try:
            words = process.cmdline()
        except psutil.Error:
            continue
        if part == "worker" and words[:1] == ["ray::run_words"]:
            return process
        if part == "trial" and words[1:4] == ["-m", "tina_lite.cli.main", "run"]:
            return process
    return None


def until(done: Callable[[], Any], seconds: float = 120.0) -> Any:
    """What `done` says once that is not nothing; an error after so many seconds."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if value := done():
            return value
        time.sleep(0.05)
    raise TimeoutError(f"still not: {done}")


def record(out: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((out / "sweep.json").read_text())
    return found


def adapters(out: Path) -> dict[str, str]:
    """By trial's folder, what its adapter's file hashes to."""
    files = sorted(out.glob("trials/*/adapter/adapter_model.safetensors"))
    return {file.parts[-3]: sha256(file.read_bytes()).hexdigest() for file in files}


def by_hand(out: Path, folder: str, more: Sequence[str] = ()) -> str:
    """What the adapter of the same run hashes to when it is started alone."""
    alone = out.parent / "alone" / folder
    words = command("run", out / "recipes" / f"{folder}.yaml", "--out", alone, "--rate", RATE, "--plain", *more)
    environment = {**os.environ, "OMP_NUM_THREADS": str(THREADS)}
    subprocess.run(words, check=True, capture_output=True, env=environment, timeout=300)
    return sha256((alone / "adapter" / "adapter_model.safetensors").read_bytes()).hexdigest()

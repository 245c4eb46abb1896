"""What the benchmarks share: each side in a process of its own, rows as they are measured, an end in time.

A process of its own has nothing warm, and its peak is that side's alone. BENCH_MINUTES, 10 by default, bounds a whole
benchmark: at its end the process in hand is ended, and what was measured until then is the result.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from importlib.metadata import version
from math import inf
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
MINUTES = float(os.environ.get("BENCH_MINUTES", "10"))
DEADLINE = time.monotonic() + 60 * MINUTES
MUCH_SLOWER = 1.5
"""A peer's kind that a probe shows to be so many times slower than its fastest is not measured further."""
PACKAGES = ("torch", "transformers", "peft", "bitsandbytes")
WIDE = {"avx2": "AVX2", "avx512f": "AVX512", "avx512_bf16": "AVX512-bf16", "amx_bf16": "AMX"}
"""Instructions that matter here, by the kernel's names."""
NOTHING: Mapping[str, tuple[float, float]] = {}


Run = dict[str, Any]
"""What one process measured."""


class OutOfTime(Exception):
    """BENCH_MINUTES are over."""


class TookTooLong(Exception):
    """A process has passed the limit that its caller gave it."""


@contextmanager
def in_time() -> Iterator[None]:
    """The measuring part of a benchmark: what comes behind it goes on with what there is."""
    try:
        yield
    except OutOfTime:
        print(f"\nthe {MINUTES:g} minutes are over (BENCH_MINUTES): this is what was measured", file=sys.stderr)


def measure(python: str, script: str, *arguments: str, limit_s: float = inf, **environment: str) -> Run:
    """Run a script of this folder by this interpreter; the last line that it prints is its result in JSON.

    OutOfTime if BENCH_MINUTES end first, TookTooLong if `limit_s` do.
    """
    (out,) = run([[python, str(HERE / script), *arguments]], limit_s=limit_s, **environment)
    result: Run = json.loads(out.splitlines()[-1])
    return result


def run(
    commands: Sequence[Sequence[str]], *, limit_s: float = inf, cwd: str | None = None, **environment: str
) -> list[str]:
    """What commands print that run at once, with these variables beside the environment's. Raises as `measure` does."""
    processes = [begin(command, cwd, environment) for command in commands]
    finish = time.monotonic() + time_left(limit_s)
    try:
        told = [process.communicate(timeout=max(0.0, finish - time.monotonic())) for process in processes]
    except subprocess.TimeoutExpired:
        raise (OutOfTime if time_left() <= 0 else TookTooLong) from None
    finally:
        for process in processes:
            end(process)
    for command, process, (_, err) in zip(commands, processes, told, strict=True):
        if process.returncode:
            sys.exit(f"{' '.join(command)[:200]} failed:\n{err[-2000:]}")
    return [out for out, _ in told]


def begin(command: Sequence[str], cwd: str | None, environment: Mapping[str, str]) -> "subprocess.Popen[str]":
    """Start a process as the head of a group, so that all that it starts can be ended with it."""
    return subprocess.Popen(
        command,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(HERE.parent), "HF_HUB_OFFLINE": "1", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def end(process: "subprocess.Popen[str]") -> tuple[str, str]:
    """End a process and all that it started, if it has not ended; what it had printed by then."""
    if process.poll() is not None:
        return "", ""
    os.killpg(process.pid, signal.SIGKILL)
    return process.communicate()


def time_left(limit_s: float = inf) -> float:
    """Seconds until the benchmark's end, at most `limit_s`."""
    return max(0.0, min(limit_s, DEADLINE - time.monotonic()))


def worth_measuring(
    kinds: Sequence[str], probe: Callable[[str, float], float], known: Mapping[str, tuple[float, float]] = NOTHING
) -> tuple[list[str], dict[str, str]]:
    """Which kinds of a peer are not much slower than its fastest, in their order, and what is said of the others.

    `probe(kind, limit_s)` gives the seconds of a little work, or raises TookTooLong once its process has run for
    `limit_s`, which is as much slower than the fastest process so far. `known` has those seconds, and its process's, of
    kinds that need no probe.
    """
    seconds = {kind: work_s for kind, (work_s, _) in known.items()}
    wall_s = min((whole_s for _, whole_s in known.values()), default=inf)
    for kind in kinds:
        if kind in known:
            continue
        started = time.monotonic()
        try:
            seconds[kind] = probe(kind, MUCH_SLOWER * wall_s)
        except TookTooLong:
            seconds[kind] = inf
        wall_s = min(wall_s, time.monotonic() - started)
    fastest_kind = min(seconds, key=seconds.__getitem__)
    fastest = seconds[fastest_kind]

    def why_dropped(kind: str) -> str:
        times = f"{seconds[kind] / fastest:.1f}" if seconds[kind] < inf else f"over {MUCH_SLOWER}"
        return f"{times} times slower than {fastest_kind} in a probe"

    kept = [kind for kind in kinds if seconds[kind] < MUCH_SLOWER * fastest]
    return kept, {kind: why_dropped(kind) for kind in kinds if kind not in kept}


def by_kind(runs: Sequence[Run], name: str, value: Callable[[Run], float]) -> list[list[float]]:
    """A value of each run, of those together whose field `name` is the same."""
    values: dict[str, list[float]] = {}
    for run_of_kind in runs:
        values.setdefault(run_of_kind[name], []).append(value(run_of_kind))
    return list(values.values())


def head(*columns: str) -> None:
    """Begin a table: where it was measured, then its columns."""
    versions = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    python = ".".join(map(str, sys.version_info[:3]))
    print(f"\n{date.today()}, {machine()}; Python {python}, {versions}\n", file=sys.stderr)
    begin_table(*columns)


def begin_table(*columns: str) -> None:
    say(*columns)
    say(*["---"] * len(columns))


def say(*cells: object) -> None:
    """One row of a table."""
    print("|", " | ".join(map(str, cells)), "|", file=sys.stderr, flush=True)


def machine() -> str:
    """Cores, processor, the widest instructions that matter here, memory."""
    facts = Path("/proc/cpuinfo").read_text()
    name = next((line.partition(":")[2].strip() for line in facts.splitlines() if line.startswith("model name")), "CPU")
    wide = [what for flag, what in WIDE.items() if f" {flag} " in f"{facts} ".replace("\n", " ")]
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9
    return f"{os.cpu_count()} cores of {name} ({', '.join(wide) or 'no AVX2'}), {memory:.0f} GB"

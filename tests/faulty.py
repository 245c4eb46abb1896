"""`tina-lite` with a fault of the machine's: python faulty.py FAULT run RECIPE ..."""

import os
import sys
import time
from collections.abc import Callable

SYNC_S = 0.25
FOREVER_S = 600.0
STARTED = time.monotonic()
HUNG_AFTER_S = 12.0
JUMP_AFTER_S = 8.0
DAY_S = 86_400.0


def wait(*_: object, **__: object) -> None:
    time.sleep(FOREVER_S)


def slow_disk() -> None:
    sync = os.fsync

    def slow(descriptor: int) -> None:
        time.sleep(SYNC_S)
        sync(descriptor)

    os.fsync = slow


def hung_disk() -> None:
    sync = os.fsync
    os.fsync = lambda descriptor: (wait if time.monotonic() - STARTED > HUNG_AFTER_S else sync)(descriptor)


def slow_tokenizer() -> None:
    from tina_lite.launch import model_check

    model_check.check_model = wait


def slow_loading() -> None:
    from tina_lite.launch import load

    load.load = wait


def slow_base() -> None:
    from tina_lite.eval import session

    session.load_model = wait


def jumping_clock(by_s: float) -> Callable[[], None]:
    def jump() -> None:
        real = time.time
        time.time = lambda: real() + by_s * (time.monotonic() - STARTED > JUMP_AFTER_S)

    return jump


FAULTS: dict[str, Callable[[], None]] = {
    "slow disk": slow_disk,
    "hung disk": hung_disk,
    "slow tokenizer": slow_tokenizer,
    "slow loading": slow_loading,
    "slow base": slow_base,
    "clock a day on": jumping_clock(DAY_S),
    "clock a day back": jumping_clock(-DAY_S),
}


if __name__ == "__main__":
    FAULTS[sys.argv.pop(1)]()
    from tina_lite.cli.main import main

    main()

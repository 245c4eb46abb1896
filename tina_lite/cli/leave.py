"""How a process ends that is on a bill."""

import atexit
import os
import sys
import threading
import time
from contextlib import suppress
from typing import NoReturn

from tina_lite import guard
from tina_lite.errors import NoRoom
from tina_lite.guard.watchdog import MARGIN_S, say

ATEXIT_S = 10.0
"""For what libraries do at the end of a process."""


def leave(exit_code: int) -> NoReturn:
    """End at once: taking the interpreter apart after a run takes a second or more that is paid for and on no bill."""
    last_s = max(0.0, min(ATEXIT_S, guard.left_s() - 2 * MARGIN_S))
    threading.Thread(target=_leave_after, args=(last_s, exit_code), daemon=True).start()
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):
            stream.flush()
    os._exit(exit_code)


def _leave_after(seconds: float, exit_code: int) -> NoReturn:
    time.sleep(seconds)
    os._exit(exit_code)


def drop_everything(reason: str) -> NoReturn:
    """From any thread, whatever the others do: money would be spent if this waited for them."""
    say(reason)
    os._exit(NoRoom.exit_code)

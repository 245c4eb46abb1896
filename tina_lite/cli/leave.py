"""How a process ends that is on a bill."""

import atexit
import os
import sys
from typing import NoReturn

from tina_lite.errors import NoRoom

SCREEN_BACK = "\x1b[?1049l\x1b[?25h\n"
"""A terminal shows its own screen and its cursor again."""


def leave(exit_code: int) -> NoReturn:
    """End at once: taking the interpreter apart after a run takes a second or more that is paid for and on no bill."""
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(exit_code)


def drop_everything(reason: str) -> NoReturn:
    """From any thread, whatever the others do: money would be spent if this waited for them."""
    screen = SCREEN_BACK if sys.stderr.isatty() else ""
    os.write(2, f"{screen}{reason}\n".encode("utf-8", "backslashreplace"))
    os._exit(NoRoom.exit_code)

"""A command as a process: how it leaves, what its streams do, and a fault in one line."""

import atexit
import errno
import os
import sys
import tempfile
import threading
import time
import traceback
from contextlib import suppress
from io import TextIOWrapper
from typing import NoReturn, TextIO

from tina_lite.budget import guard
from tina_lite.budget.watchdog import MARGIN_S, log
from tina_lite.util.disk import FULL
from tina_lite.util.errors import BadInput, NoRoom, one_line

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
    log(reason)
    os._exit(NoRoom.exit_code)


class _Stream(TextIOWrapper):
    """stdout or stderr. From the first write that fails, what is written goes nowhere."""

    lost: OSError | None = None
    """Why."""

    def write(self, text: str) -> int:
        try:
            return super().write(text)
        except OSError as error:
            return self._lose(error, len(text))

    def flush(self) -> None:
        try:
            super().flush()
        except OSError as error:
            self._lose(error, 0)

    def _lose(self, error: OSError, written: int) -> int:
        self.lost = error
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, self.fileno())  # for what is buffered, and for what libraries and children write
        os.close(null)
        return written


def prepare() -> None:
    """Once, at the start of the process."""
    for number, stream in enumerate((sys.stdin, sys.stdout, sys.stderr)):
        if stream is None:  # closed: the next file that is opened would be taken for it
            null = os.open(os.devnull, os.O_RDWR)
            if null != number:
                os.dup2(null, number)
                os.close(null)
    sys.stdin = sys.stdin or open(0, encoding="utf-8")  # noqa: SIM115 (it lives as long as the process)
    sys.stdout, sys.stderr = _outlet(sys.stdout, 1), _outlet(sys.stderr, 2)


def _outlet(stream: TextIO | None, number: int) -> TextIO:
    """An encoding that lacks a character is no fault either."""
    if stream is None:
        return _Stream(open(number, "wb"), encoding="utf-8", errors="backslashreplace")
    if not isinstance(stream, TextIOWrapper):
        return stream  # somebody's own
    encoding, by_line = stream.encoding, stream.line_buffering
    return _Stream(stream.buffer, encoding=encoding, errors="backslashreplace", line_buffering=by_line)


def lost() -> OSError | None:
    """Why stdout did not take all that was written to it; None where it did."""
    sys.stdout.flush()
    return getattr(sys.stdout, "lost", None)


PLACES = (
    errno.EACCES,
    errno.EEXIST,
    errno.EISDIR,
    errno.ELOOP,
    errno.ENAMETOOLONG,
    errno.ENOTDIR,
    errno.EPERM,
    errno.EROFS,
)
"""Errors of a path that a person gave, wherever they come up."""


def tell(error: BaseException) -> int:
    """Say it on stderr; the exit code."""
    said, code = _told(error)
    notes = "; ".join(getattr(error, "__notes__", []))
    kept = notes or (_kept(error) if code == 1 else "")
    print(f"{said}; {kept}" if kept else said, file=sys.stderr)
    return code


def _told(error: BaseException) -> tuple[str, int]:
    if isinstance(error, OSError):
        place = "the disk" if error.filename is None else str(error.filename)[:200]
        if isinstance(error, FileNotFoundError) and error.filename is None:
            return "the working directory is gone; cd to one that is there", BadInput.exit_code
        if error.errno in FULL:
            return f"{place}: cannot be written ({error.strerror}); free some space, and do it again", NoRoom.exit_code
        if error.errno in PLACES and error.filename is not None:
            said = f"{place}: cannot be used ({error.strerror}); choose another place, or let this user use it"
            return said, BadInput.exit_code
    return f"a fault ended it: {type(error).__name__}: {one_line(error)}", 1


def _kept(error: BaseException) -> str:
    text = "".join(traceback.format_exception(error)).encode("utf-8", "backslashreplace")
    try:
        descriptor, path = tempfile.mkstemp(prefix="tina-lite-error-", suffix=".txt")
        os.write(descriptor, text)
        os.close(descriptor)
    except OSError as second:
        return f"the traceback could not be kept ({second.strerror})"
    return f"the traceback is in {path}; please report it"

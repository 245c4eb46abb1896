"""An error that nobody foresaw: one line, and the traceback in a file whose name is shown."""

import errno
import os
import sys
import tempfile
import traceback

from tina_lite.disk import FULL
from tina_lite.errors import BadInput, NoRoom, one_line

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

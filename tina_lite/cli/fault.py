"""An error that nobody foresaw: one line, and the traceback in a file whose name is shown."""

import errno
import os
import sys
import tempfile
import traceback

from tina_lite.errors import BadInput, one_line

PLACES = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENAMETOOLONG, errno.ELOOP, errno.ENOTDIR, errno.EISDIR)
"""Errors of a path that a person gave, wherever they come up."""


def tell(error: BaseException) -> int:
    """Say it on stderr; the exit code."""
    print(_line_for(error), file=sys.stderr)
    return BadInput.exit_code if _of_a_place(error) else 1


def _line_for(error: BaseException) -> str:
    """What is said of it; its traceback goes to a temporary file, unless it is kept elsewhere already."""
    notes = "; ".join(getattr(error, "__notes__", []))
    if isinstance(error, OSError) and _of_a_place(error):
        place = str(error.filename)[:200]
        said = f"{place}: cannot be used ({error.strerror}); choose another place, or let this user use it"
        return f"{said}; {notes}" if notes else said
    return f"a fault ended it: {type(error).__name__}: {one_line(error)}; {notes or _kept(error)}"


def _of_a_place(error: BaseException) -> bool:
    return isinstance(error, OSError) and error.errno in PLACES and error.filename is not None


def _kept(error: BaseException) -> str:
    text = "".join(traceback.format_exception(error)).encode("utf-8", "backslashreplace")
    try:
        descriptor, path = tempfile.mkstemp(prefix="tina-lite-error-", suffix=".txt")
        os.write(descriptor, text)
        os.close(descriptor)
    except OSError as second:
        return f"the traceback could not be kept ({second.strerror})"
    return f"the traceback is in {path}; please report it"

"""Standard streams as people leave them: closed, full, or without a reader. None of that ends a command."""

import os
import sys
from io import TextIOWrapper
from typing import TextIO


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

"""What can go wrong, as a short tree. Each error says what happened, where, and what to do next.

TinaError            shown to a person as one line, never as a traceback
|- BadInput          a recipe, file, name or number that cannot be used: exit code 2
|- NoRoom            memory, disk or budget too small: exit code 3
|- NothingLeft       a run that was to go on has ended, or used up its budget: exit code 0
`- Interrupted       a signal ended the run after it had saved: exit code 128 + signal
"""


class TinaError(Exception):
    """Base of all errors that a person caused or can mend; the message is one line."""

    exit_code = 1
    kind = "error"
    """The stop reason of a run that ended so."""


class BadInput(TinaError):
    """Input that cannot be used. Nothing was written."""

    exit_code = 2
    kind = "bad_input"


class NoRoom(TinaError):
    """The machine, the disk or the budget is too small for what was asked."""

    exit_code = 3
    kind = "no_room"


class NothingLeft(TinaError):
    """A run that has nothing left to do: it has ended, or its budget is used up. Nothing was written or billed."""

    exit_code = 0
    kind = "nothing_left"


class Interrupted(TinaError):
    """A signal asked the run to end; what was paid for is saved."""

    kind = "interrupted"

    def __init__(self, message: str, signal_number: int) -> None:
        super().__init__(message)
        self.exit_code = 128 + signal_number


def nearest(word: str, choices: list[str]) -> str:
    """A hint with the nearest spelling, or an empty string.

    >>> nearest("learning_rte", ["learning_rate", "epsilon"])
    '; did you mean learning_rate?'
    """
    from difflib import get_close_matches

    close = get_close_matches(word, choices, n=1, cutoff=0.6)
    return f"; did you mean {close[0]}?" if close else ""


def one_line(text: object, most: int = 300) -> str:
    """A foreign error, short.

    >>> one_line(ValueError("no\\n  room"))
    'no room'
    """
    return " ".join(str(text).split())[:most]

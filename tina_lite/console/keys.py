"""What a person asks of a picture by keys: another sample, to hold it, help."""

from dataclasses import replace

from tina_lite.console.state import ConsoleState

HELP = "s: an earlier sample, space: hold, ?: no help"


class View:
    """Is how one person looks at a run."""

    def __init__(self) -> None:
        self._back = 0
        """Samples before the newest; 0: those that are shown of themselves."""
        self._held: tuple[ConsoleState, float] | None = None
        self._helps = False

    def press(self, keys: str, state: ConsoleState, now: float) -> None:
        """Take note of keys; others than these do nothing."""
        for key in keys:
            if key == "s":
                self._back = (self._back + 1) % (len(state.earlier) + 1)
            elif key == " ":
                self._held = (state, now) if self._held is None else None
            elif key == "?":
                self._helps = not self._helps

    def of(self, state: ConsoleState, now: float) -> tuple[ConsoleState, float]:
        """What is to be drawn, and the moment."""
        state, now = self._held or (state, now)
        picked = state.earlier[-self._back] if 0 < self._back <= len(state.earlier) else None
        return replace(state, picked=picked), now

    def note(self, note: str) -> str:
        """What stands before the clock."""
        if self._helps:
            return f"{HELP}, {note}" if note else HELP
        return " · ".join(part for part in ("held" if self._held else "", note, "?: help") if part)

"""A line of JSON to an address of somebody's own when a run begins, when something is amiss, and when it ends."""

import os
from typing import Any

from tina_lite.budget.money import format_usd
from tina_lite.runs.events import AlarmRaised, RunFinished, RunStarted, Stamped
from tina_lite.track.listening import Beginning
from tina_lite.util.errors import BadInput

LIMIT_S = 5.0


def address_of(notify: str) -> str:
    """What a recipe's `notify` names, variables of the environment filled in; BadInput where it is no address."""
    address = os.path.expandvars(notify)
    if not address.startswith(("http://", "https://")) or "$" in address:
        raise BadInput(f"notify: {notify} is no address: give https://..., or $NAME for a variable that holds one")
    return address


class Webhook:
    """Posts each line; one that cannot be sent goes with the next, but a run whose first is lost has no webhook."""

    def __init__(self, address: str, beginning: Beginning) -> None:
        self._address = address
        self._run = beginning.name
        self._unsent: list[dict[str, Any]] = []

    def hear(self, stamped: Stamped) -> None:
        import httpx

        words = _in_words(self._run, stamped)
        if not words:
            return
        # Slack and Mattermost show "text", Discord "content".
        line = {name: value for name, value in stamped.to_json().items() if name != "summary"}
        self._unsent.append({"run": self._run, "text": words, "content": words, **line})
        try:
            self._send()
        except httpx.TransportError:
            if isinstance(stamped.event, RunStarted):
                raise

    def close(self) -> None:
        self._send()

    def _send(self) -> None:
        """What is unsent, the oldest first."""
        import httpx

        while self._unsent:
            httpx.post(self._address, json=self._unsent[0], timeout=LIMIT_S).raise_for_status()
            del self._unsent[0]


def _in_words(run: str, stamped: Stamped) -> str:
    """Empty for what nobody need be told of."""
    match stamped.event:
        case RunStarted() as started:
            return f"{run} begins: {started.model} on {started.device}"
        case AlarmRaised() as alarm:
            return f"{run}, step {alarm.step}, {alarm.name}: {alarm.words}; try {alarm.advice}"
        case RunFinished(summary=summary):
            reason = str(summary.get("stop_reason", "unknown")).replace("_", " ")
            return f"{run} ended: {reason}, {summary.get('steps', 0)} steps, {format_usd(stamped.usd)}"
        case _:
            return ""

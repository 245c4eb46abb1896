"""How long until a moment that a person names: a time of day, or a duration."""

import re
from datetime import datetime, timedelta

_DURATION = re.compile(r"(?:(\d+(?:\.\d+)?)\s*h)?\s*(?:(\d+(?:\.\d+)?)\s*m(?:in)?)?\s*(?:(\d+(?:\.\d+)?)\s*s)?")


def seconds_until(text: str, now: datetime) -> float:
    """Seconds from `now` to the next HH:MM of this machine's zone, or those of a duration; ValueError otherwise.

    An hour that summer time takes away or gives twice is reckoned with: of a time that comes twice, the first to come.

    >>> seconds_until("07:30", datetime(2026, 1, 1, 23, 30))
    28800.0
    >>> [seconds_until(text, datetime(2026, 1, 1)) for text in ("90m", "1h 30m", "45s")]
    [5400.0, 5400.0, 45.0]
    """
    text = text.strip()
    clock = re.fullmatch(r"(\d{1,2}):(\d{2})", text)
    if clock and int(clock[1]) < 24 and int(clock[2]) < 60:
        today = now.replace(hour=int(clock[1]), minute=int(clock[2]), second=0, microsecond=0, tzinfo=None)
        moments = (day.replace(fold=fold).timestamp() for day in (today, today + timedelta(days=1)) for fold in (0, 1))
        return min(moment for moment in moments if moment > now.timestamp()) - now.timestamp()
    parts = _DURATION.fullmatch(text)
    if parts and any(parts.groups()):
        hours, minutes, seconds = (float(part or 0) for part in parts.groups())
        if total := hours * 3600 + minutes * 60 + seconds:
            return total
    raise ValueError("needs a time of day such as 07:30 or a duration such as 90m, 1h30m or 45s")

"""Durations as people write them: 30d, 8w, 1y, 24h, 1h30m, 90s."""

from __future__ import annotations

import re
from datetime import timedelta

from kcert.errors import InputError

_SECONDS = {"y": 365 * 86400, "w": 7 * 86400, "d": 86400, "h": 3600, "m": 60, "s": 1}
_PARTS = re.compile("".join(rf"(?:(\d{{1,9}}){unit})?" for unit in _SECONDS), re.ASCII)
LONGEST = timedelta(days=36500)


def duration(text: str, option: str, bare: str = "") -> timedelta:
    """Return the duration that *text* says, in whole seconds; *option* is the option that it was given with.

    A number without a unit counts in the unit *bare*, if there is one. Raises InputError for anything else than
    numbers with units, the greatest unit first, and for more than a hundred years.
    """
    written = text.strip().lower()
    parts = _PARTS.fullmatch(f"{written}{bare}" if written.isdecimal() else written)
    if not written or not parts:
        raise InputError(f"{option} {text!a} is not a duration: write 30d, 8w, 1y, 24h, 1h30m or 600s.")
    seconds = sum(int(count or 0) * unit for count, unit in zip(parts.groups(), _SECONDS.values(), strict=True))
    if seconds > LONGEST.total_seconds():
        raise InputError(f"{option} {text!a} is more than a hundred years.")
    return timedelta(seconds=seconds)


def in_words(length: timedelta) -> str:
    """Return *length* in words: in days if it is whole days, else in hours, minutes or seconds."""
    seconds = int(length.total_seconds())
    for size, unit in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds and seconds % size == 0:
            return f"{seconds // size} {unit}{'s' if seconds != size else ''}"
    return f"{seconds} second{'s' if seconds != 1 else ''}"

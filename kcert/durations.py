"""Lengths of time as people write them: 30d, 24h, 1h30m, 90s."""

from __future__ import annotations

import re
from datetime import timedelta

from kcert.errors import InputError

_UNITS = {"w": "weeks", "d": "days", "h": "hours", "m": "minutes", "s": "seconds"}
_PARTS = re.compile(r"(?:(\d{1,9})w)?(?:(\d{1,9})d)?(?:(\d{1,9})h)?(?:(\d{1,9})m)?(?:(\d{1,9})s)?", re.ASCII)
LONGEST = timedelta(days=36500)


def duration(text: str, option: str) -> timedelta:
    """The length of time that *text* says, in whole seconds; *option* is who asks, for the error.

    Raises InputError for anything else than numbers with units, the greatest unit first, and for more than a
    hundred years.
    """
    found = _PARTS.fullmatch(text.strip())
    if not text.strip() or not found:
        raise InputError(f"{option} {text!a} is no length of time: write 30d, 24h, 1h30m or 600s.")
    given = {unit: int(count) for unit, count in zip(_UNITS.values(), found.groups(), strict=True) if count}
    try:
        length = timedelta(**given)
    except OverflowError:
        length = LONGEST + timedelta(1)
    if length > LONGEST:
        raise InputError(f"{option} {text!a} is more than a hundred years.")
    return length


def told(length: timedelta) -> str:
    """*length* in words: in days where it is whole days, else in hours, minutes or seconds."""
    seconds = int(length.total_seconds())
    for size, unit in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds and seconds % size == 0:
            return f"{seconds // size} {unit}{'s' if seconds != size else ''}"
    return f"{seconds} second{'s' if seconds != 1 else ''}"

"""Times of the synthetic hospital: whole seconds since 1970, in local time."""

from __future__ import annotations

import datetime as dt
from functools import cache

MINUTE, HOUR, DAY = 60, 3_600, 86_400
YEAR = 31_557_600

EPOCH = dt.datetime(1970, 1, 1)
END = int((dt.datetime(2026, 1, 1) - EPOCH).total_seconds())
"""Where every synthetic history ends; fixed, so that the same seed gives the same bytes."""

_TWO = [f"{i:02d}" for i in range(60)]
_SHORT = [f"{h:02d}{m:02d}" for h in range(24) for m in range(60)]


@cache
def _day(number: int) -> str:
    return (EPOCH + dt.timedelta(days=number)).strftime("%Y%m%d")


def day(time: int) -> str:
    """Return the date as HL7 and DICOM write it.

    Examples:
        >>> day(0)
        '19700101'
    """
    return _day(time // DAY)


def stamp(time: int) -> str:
    """Return date and time to the second.

    Examples:
        >>> stamp(86_399)
        '19700101235959'
    """
    number, rest = divmod(time, DAY)
    return _day(number) + _SHORT[rest // 60] + _TWO[rest % 60]


def short(time: int) -> str:
    """Return date and time to the minute."""
    number, rest = divmod(time, DAY)
    return _day(number) + _SHORT[rest // 60]


def when(time: int) -> dt.datetime:
    """Return the time as a datetime without a zone."""
    return EPOCH + dt.timedelta(seconds=time)


def at(year: int, month: int = 1, day_of_month: int = 1) -> int:
    """Return midnight at the start of a date."""
    return int((dt.datetime(year, month, day_of_month) - EPOCH).total_seconds())


def years_between(born: int, time: int) -> int:
    """Return an age in whole years, by the calendar.

    Examples:
        >>> years_between(at(2000, 3, 1), at(2020, 2, 29))
        19
    """
    a, b = when(born), when(time)
    return b.year - a.year - ((b.month, b.day) < (a.month, a.day))


def weekday(time: int) -> int:
    """Return the day of the week, Monday 0."""
    return (time // DAY + 3) % 7

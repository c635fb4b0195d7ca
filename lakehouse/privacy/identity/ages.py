"""Calendar years and ages in years, computed on whole columns of days since 1970-01-01."""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt

from lakehouse.privacy.columns import Days

TOP_AGE = 90
"""Ages from here on are one group under Safe Harbor: 45 CFR 164.514(b)(2)(i)(C)."""

MAX_AGE = 120
"""An age above this is an error of the source."""


_FIRST = -43_829
"""1850-01-01; the calendar repeats itself every 400 years to the day."""

_CYCLE_DAYS, _CYCLE_YEARS = 146_097, 400


@cache
def _cycle() -> npt.NDArray[np.int32]:
    """Return a lookup table: each date of 400 years as one number, see ``_civil``."""
    dates = np.arange(_FIRST, _FIRST + _CYCLE_DAYS).astype("datetime64[D]")
    months = dates.astype("datetime64[M]")
    since = months.astype(np.int64)
    day = (dates - months.astype("datetime64[D]")).astype(np.int64)
    numbers: npt.NDArray[np.int32] = ((since // 12 + 1970) << 9 | (since % 12) << 5 | day).astype(
        np.int32
    )
    return numbers


def _civil(days: Days) -> Days:
    """Return each date as one number of the same order: year, 4 bits of month, 5 bits of day.

    A lookup takes a tenth of the time of NumPy's calendar.
    """
    position = days - _FIRST
    if not len(position) or (position.min() >= 0 and position.max() < _CYCLE_DAYS):
        return _cycle().take(position).astype(np.int64)
    cycles, position = np.divmod(position, _CYCLE_DAYS)
    return _cycle().take(position) + (cycles * _CYCLE_YEARS << 9)


def year_of(days: Days) -> Days:
    """Return the calendar year of each date.

    Examples:
        >>> year_of(np.array([0, -1, 365])).tolist()
        [1970, 1969, 1971]
    """
    return _civil(days) >> 9


def years_between(birth: Days, at: Days) -> Days:
    """Return the age in whole years; who was born on 29 February turns on 1 March.

    Examples:
        >>> birth = np.array(["1936-02-29"] * 2, "datetime64[D]").astype(np.int64)
        >>> at = np.array(["2026-02-28", "2026-03-01"], "datetime64[D]").astype(np.int64)
        >>> years_between(birth, at).tolist()
        [89, 90]
    """
    # the subtraction borrows from the years while this year's birthday is still to come
    return (_civil(at) - _civil(birth)) >> 9

"""Ages and birthdays on whole columns, as days since 1970-01-01."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Days = npt.NDArray[np.int64]
"""Dates as days since 1970-01-01."""

TOP_AGE = 90
"""Ages from here on are one group under Safe Harbor: 45 CFR 164.514(b)(2)(i)(C)."""

MAX_AGE = 120
"""An age above is a mistake of the source."""


def _civil(days: Days) -> tuple[Days, Days, Days]:
    """Return year, month (from 0) and day of month (from 0)."""
    dates = days.astype("datetime64[D]")
    months = dates.astype("datetime64[M]")
    since = months.astype(np.int64)
    return (
        since // 12 + 1970,
        since % 12,
        (dates - months.astype("datetime64[D]")).astype(np.int64),
    )


def year_of(days: Days) -> Days:
    """Return the calendar year of each date.

    Examples:
        >>> year_of(np.array([0, -1, 365])).tolist()
        [1970, 1969, 1971]
    """
    return _civil(days)[0]


def years_between(birth: Days, at: Days) -> Days:
    """Return the age in whole years; who was born on 29 February turns on 1 March.

    Examples:
        >>> birth = np.array(["1936-02-29"] * 2, "datetime64[D]").astype(np.int64)
        >>> at = np.array(["2026-02-28", "2026-03-01"], "datetime64[D]").astype(np.int64)
        >>> years_between(birth, at).tolist()
        [89, 90]
    """
    birth_year, birth_month, birth_day = _civil(birth)
    year, month, day = _civil(at)
    not_yet = (month < birth_month) | ((month == birth_month) & (day < birth_day))
    return year - birth_year - not_yet

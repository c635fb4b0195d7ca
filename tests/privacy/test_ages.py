"""Ages and birthdays against Python's own calendar."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakehouse.privacy.identity.ages import year_of, years_between

EPOCH = date(1970, 1, 1).toordinal()


def days(*dates: date) -> np.ndarray:
    return np.array([d.toordinal() - EPOCH for d in dates], dtype=np.int64)


def age(born: date, at: date) -> int:
    return at.year - born.year - ((at.month, at.day) < (born.month, born.day))


@given(st.lists(st.tuples(st.dates(), st.dates()), min_size=1, max_size=20))
def test_ages_are_those_of_the_calendar(pairs: list[tuple[date, date]]) -> None:
    born, at = days(*(b for b, _ in pairs)), days(*(a for _, a in pairs))
    assert years_between(born, at).tolist() == [age(b, a) for b, a in pairs]
    assert year_of(born).tolist() == [b.year for b, _ in pairs]


@pytest.mark.parametrize(
    ("born", "at", "years"),
    [
        (date(1936, 2, 29), date(2026, 2, 28), 89),
        (date(1936, 2, 29), date(2026, 3, 1), 90),
        (date(1936, 2, 29), date(2028, 2, 29), 92),
        (date(1934, 5, 5), date(2024, 5, 4), 89),
        (date(1934, 5, 5), date(2024, 5, 5), 90),
        (date(2024, 1, 1), date(2024, 1, 1), 0),
        (date(2024, 1, 2), date(2024, 1, 1), -1),
    ],
)
def test_edges(born: date, at: date, years: int) -> None:
    assert years_between(days(born), days(at)).tolist() == [years]

"""The same rows give the same figures, to the last bit, in whatever order they come."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from lakehouse.query.views.evaluate import evaluate_view

AT = datetime(2130, 1, 1, 8, tzinfo=UTC)
VALUES = [0.1, 0.2, 0.3, 0.7, 1.1, 100_000.1]


def rows(**columns: Any) -> list[dict[str, Any]]:
    """One row for each value; a column that is a function is worked out from number and value."""
    return [
        {c: given(i, v) if callable(given) else given for c, given in columns.items()}
        for i, v in enumerate(VALUES)
    ]


STAYS = rows(
    patient_id=lambda i, v: f"p{i}",
    encounter_id=lambda i, v: f"e{i}",
    status="finished",
    length_of_stay_days=lambda i, v: v,
)
LABS = rows(
    patient_id="p1",
    analyte="glucose",
    value=lambda i, v: v,
    plausible=True,
    observed_at=lambda i, v: AT + timedelta(hours=i),
)
URINE = rows(
    patient_id="p1",
    encounter_id="e1",
    analyte="urine_output_ml",
    value=lambda i, v: v,
    observed_at=lambda i, v: AT + timedelta(hours=i),
)
SERIES = rows(modality="CT", series_key=lambda i, v: f"s{i}", ready=True, size_mb=lambda i, v: v)
CASES = {
    "length_of_stay": {"encounters_current": STAYS},
    "research_dataset": {
        "patients_current": [{"patient_id": "p1"}],
        "lab_results": LABS,
    },
    "sofa": {"measured_values": URINE},
    "ai_training_by_modality": {"ai_training_candidates": SERIES},
}


@pytest.mark.parametrize("view", CASES)
def test_order_changes_no_bit(view: str) -> None:
    assert sum(VALUES) != sum(VALUES[::-1]), "these have sums that hang on their order"
    given = CASES[view]
    (large,) = [table for table, rows in given.items() if len(rows) == len(VALUES)]
    orders = [sorted(given[large], key=str), given[large], given[large][::-1]]
    orders.append([given[large][i] for i in (3, 0, 5, 1, 4, 2)])
    found = [evaluate_view(view, {**given, large: order}) for order in orders]
    assert found[0].num_rows == 1
    assert all(f.to_pylist() == found[0].to_pylist() for f in found)

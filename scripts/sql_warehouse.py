"""A synthetic warehouse for ``scripts/bench sql``: rows made as Arrow, written as by an ingest.

The values are random within what a hospital sees; the shape is what counts: one patient in four
has been in the emergency room, a visit has five rounds of vital signs (with consciousness, oxygen
and urine) and a panel of results (with a blood gas, a QT interval, weight, height and smoking),
one result in a hundred is corrected, one drug in eight is a vasopressor with its dose.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa

from lakehouse.definitions.tables import load_tables
from lakehouse.storage.io.data_files import WrittenFile, write_tables
from lakehouse.storage.metadata.settings import Settings
from lakehouse.storage.transactions.transaction import IngestTransaction
from lakehouse.storage.warehouse import Warehouse

ROUNDS = 5
VITALS = (  # LOINC, unit, mean, spread, lowest, highest; or LOINC and the codes of the answer
    ("8867-4", "/min", 82, 16, 30, 200),
    ("9279-1", "/min", 17, 4, 4, 60),
    ("8480-6", "mm[Hg]", 126, 20, 60, 250),
    ("8462-4", "mm[Hg]", 75, 12, 30, 150),
    ("8310-5", "Cel", 37.0, 0.7, 34, 42),
    ("59408-5", "%", 96, 2.5, 70, 100),
    ("9269-2", "{score}", 15, 0.8, 3, 15),
    ("3151-8", "L/min", 0, 2, 0, 15),
    ("9187-6", "mL", 300, 150, 0, 1500),
    ("67775-7", ("A", "A", "A", "A", "A", "A", "A", "A", "A", "C", "V", "P")),
)
LABS = (
    ("2160-0", "mg/dL", 1.1, 0.5, 0.1, 20),
    ("2951-2", "mmol/L", 139, 4, 110, 170),
    ("2823-3", "mmol/L", 4.2, 0.5, 2, 8),
    ("2075-0", "mmol/L", 103, 4, 80, 130),
    ("1963-8", "mmol/L", 24, 3, 5, 45),
    ("17861-6", "mg/dL", 9.2, 0.6, 5, 15),
    ("1751-7", "g/dL", 3.9, 0.5, 1, 6),
    ("1975-2", "mg/dL", 0.9, 0.6, 0.1, 30),
    ("6301-6", "1", 1.2, 0.3, 0.8, 8),
    ("1920-8", "U/L", 35, 20, 5, 2000),
    ("1742-6", "U/L", 32, 20, 5, 2000),
    ("777-3", "10*3/uL", 230, 70, 10, 900),
    ("6690-2", "10*3/uL", 8.5, 3, 0.5, 60),
    ("764-1", "%", 5, 3, 0, 40),
    ("718-7", "g/dL", 13, 2, 5, 20),
    ("2093-3", "mg/dL", 190, 40, 80, 400),
    ("2085-9", "mg/dL", 50, 14, 15, 120),
    ("2571-8", "mg/dL", 140, 60, 30, 900),
    ("4548-4", "%", 6.1, 1.2, 4, 14),
    ("2703-7", "mm[Hg]", 85, 20, 40, 300),
    ("2019-8", "mm[Hg]", 40, 6, 20, 90),
    ("3150-6", "%", 25, 15, 21, 100),
    ("8634-8", "ms", 400, 35, 280, 600),
    ("29463-7", "kg", 80, 16, 40, 200),
    ("8302-2", "cm", 170, 10, 140, 205),
    ("72166-2", ("LA18976-3", "LA15920-4", "LA18978-9", "LA18978-9")),
)
WORDS = (
    "I10 E119 E1122 I2510 I214 I252 I5022 J449 N183 N184 K7030 C50911 C7951 I639 F329 E669 G309 "
    "E039 D649 K219 M069 I4891 J189 A419 N179 Z87891 O80 K767 B20 D696 I739 F1020"
)
DIAGNOSES = tuple(WORDS.split())
DRUGS = (
    "metformin",
    "lisinopril",
    "atorvastatin",
    "aspirin",
    "furosemide",
    "ceftriaxone",
    "warfarin",
    "norepinephrine",
)
START = np.datetime64("2020-01-01T00:00:00", "us").astype(np.int64)
HOUR = 3_600_000_000
DAY = 24 * HOUR
INSTANT = pa.timestamp("us", tz="UTC")


def pseudonyms(kind: str, count: int, first: int) -> pa.Array:
    """Return strings shaped like pseudonyms."""
    words = np.random.default_rng([len(kind), first]).integers(0, 2**63, (count, 2))
    return pa.array([f"{a:016x}{b:016x}" for a, b in words.tolist()])


def times(values: np.ndarray) -> pa.Array:
    """Return instants from microseconds."""
    return pa.array(values, pa.int64()).cast(INSTANT)


def picked(words: Sequence[str | None], index: np.ndarray) -> pa.Array:
    """Return words by index."""
    return pa.array(words).take(pa.array(index))


class Part:
    """The rows of some thousand patients."""

    def __init__(self, number: int, patients: int, visits: int, seed: int) -> None:
        self.rng = np.random.default_rng([seed, number])
        self.number = number
        self.patients = pseudonyms("patient", patients, number)
        self.of_patient = self.rng.integers(0, patients, visits)
        self.visits = pseudonyms("visits", visits, number)
        self.admitted = START + self.rng.integers(0, 5 * 365, visits) * DAY
        self.admitted += self.rng.integers(0, 24, visits) * HOUR
        self.days = self.rng.integers(1, 9, visits)
        self.age = self.rng.integers(18, 90, patients)

    def _common(self, kind: str, of_visit: np.ndarray, at: np.ndarray) -> dict[str, pa.Array]:
        count = len(of_visit)
        ids = [f"{self.number:04x}{kind}-{i:09d}" for i in range(count)]
        who = self.of_patient[of_visit]
        return {
            "record_id": pa.array(ids),
            "ordinal": pa.array(np.zeros(count, np.int32)),
            "patient_id": self.patients.take(pa.array(who)),
            "encounter_id": self.visits.take(pa.array(of_visit)),
            "stated_at": times(at + HOUR // 6),
            "age_years": pa.array(self.age[who].astype(np.int32)),
        }

    def _measured(self, kind: str, panel: tuple, rounds: int, every: int) -> pa.Table:
        visits, width = len(self.visits), len(panel)
        of_visit = np.repeat(np.arange(visits), rounds * width)
        which = np.tile(np.arange(width), visits * rounds)
        turn = np.tile(np.repeat(np.arange(rounds), width), visits)
        at = self.admitted[of_visit] + turn * every * HOUR + HOUR
        numbers = np.array([p[2:] if len(p) > 2 else (0, 0, 0, 0) for p in panel], float)
        mean, spread, lowest, highest = numbers[which].T
        value = np.round(np.clip(self.rng.normal(mean, spread), lowest, highest), 1)
        coded = np.array([len(p) == 2 for p in panel])[which]
        answers = np.full(len(which), None, object)
        for place, entry in enumerate(panel):
            if len(entry) == 2:
                answers[which == place] = self.rng.choice(entry[1], visits * rounds)
        rows = self._common(kind, of_visit, at)
        record = (of_visit * rounds + turn).astype(np.int64)
        names = pa.array([f"{self.number:04x}{kind}-{i:09d}" for i in range(visits * rounds)])
        rows["record_id"] = names.take(pa.array(record))
        rows["ordinal"] = pa.array(which.astype(np.int32))
        rows["order_id"] = names.take(pa.array(record))
        rows["code"] = picked([p[0] for p in panel], which)
        rows["code_system"] = picked(["loinc"], np.zeros(len(which), int))
        rows["category"] = picked(["LAB", "VITALS"], np.full(len(which), int(kind == "v")))
        rows["value_number"] = pa.array(value, mask=coded)
        rows["value_code"] = pa.array(answers, pa.string())
        rows["unit"] = picked([p[1] if len(p) > 2 else None for p in panel], which)
        rows["status"] = picked(["final"], np.zeros(len(which), int))
        rows["observed_at"] = times(at)
        rows["reported_at"] = times(at + HOUR)
        return pa.table(rows)

    def observations(self) -> pa.Table:
        """Return vital signs, laboratory results and a correction of one result in a hundred."""
        labs = self._measured("l", LABS, 1, 24)
        wrong = pa.array(self.rng.integers(0, labs.num_rows, labs.num_rows // 100))
        again = labs.take(wrong)
        again = again.set_column(
            again.column_names.index("status"), "status", pa.repeat("corrected", again.num_rows)
        )
        later = pa.compute.add(again["stated_at"], pa.scalar(HOUR, pa.duration("us")))
        again = again.set_column(again.column_names.index("stated_at"), "stated_at", later)
        ids = pa.compute.binary_join_element_wise(again["record_id"], "c", "")
        again = again.set_column(again.column_names.index("record_id"), "record_id", ids)
        return pa.concat_tables([self._measured("v", VITALS, ROUNDS, 4), labs, again])

    def others(self) -> Iterator[tuple[str, pa.Table]]:
        """Yield the smaller tables."""
        patients, visits = len(self.patients), len(self.visits)
        each = np.arange(visits)
        yield (
            "patients",
            pa.table(
                {
                    "record_id": pa.array([f"{self.number:04x}p-{i}" for i in range(patients)]),
                    "ordinal": pa.array(np.zeros(patients, np.int32)),
                    "patient_id": self.patients,
                    "stated_at": times(np.full(patients, START + 6 * 365 * DAY)),
                    "age_years": pa.array(self.age.astype(np.int32)),
                    "sex": picked(["female", "male"], self.rng.integers(0, 2, patients)),
                    "race": picked(["2106-3", "2054-5"], self.rng.integers(0, 2, patients)),
                    "state": picked(["MA", "NY", "CA", "TX"], self.rng.integers(0, 4, patients)),
                }
            ),
        )
        rows = self._common("e", each, self.admitted)
        yield (
            "encounters",
            pa.table(
                {
                    **rows,
                    "event": picked(["A03"], np.zeros(visits, int)),
                    "class": picked(
                        ["I", "E", "O"], self.rng.choice(3, visits, p=[0.5, 0.25, 0.25])
                    ),
                    "admission_type": picked(["E", "C", "U"], self.rng.integers(0, 3, visits)),
                    "service": picked(["MED", "SUR", "ONC"], self.rng.integers(0, 3, visits)),
                    "unit": picked(["ICU", "3W", "4E"], self.rng.integers(0, 3, visits)),
                    "admitted_at": times(self.admitted),
                    "discharged_at": times(self.admitted + self.days * DAY),
                }
            ),
        )
        of_visit = np.repeat(each, 5)
        rank = np.tile(np.arange(1, 6), visits)
        rows = self._common("d", of_visit, self.admitted[of_visit])
        yield (
            "conditions",
            pa.table(
                {
                    **rows,
                    "code": picked(DIAGNOSES, self.rng.integers(0, len(DIAGNOSES), len(of_visit))),
                    "code_system": picked(["icd10cm"], np.zeros(len(of_visit), int)),
                    "kind": picked(["F"], np.zeros(len(of_visit), int)),
                    "rank": pa.array(rank.astype(np.int32)),
                    "present_on_admission": picked(
                        ["Y", "N"], self.rng.integers(0, 2, len(of_visit))
                    ),
                    "recorded_at": rows["stated_at"],
                }
            ),
        )
        of_visit = np.repeat(each, 3)
        rows = self._common("m", of_visit, self.admitted[of_visit])
        drug = self.rng.integers(0, len(DRUGS), len(of_visit))
        pressor = drug == DRUGS.index("norepinephrine")
        dose = np.round(self.rng.uniform(0.02, 0.4, len(of_visit)), 2)
        begun = self.admitted[of_visit] + 3 * HOUR
        yield (
            "medications",
            pa.table(
                {
                    **rows,
                    "kind": picked(["order"], np.zeros(len(of_visit), int)),
                    "order_id": rows["record_id"],
                    "order_control": picked(["NW"], np.zeros(len(of_visit), int)),
                    "code": picked(DRUGS, drug),
                    "code_system": picked(["local"], np.zeros(len(of_visit), int)),
                    "dose": pa.array(dose, mask=~pressor),
                    "dose_unit": picked([None, "ug/kg/min"], pressor.astype(int)),
                    "started_at": times(begun),
                    "ended_at": pa.array(begun + 20 * HOUR, mask=~pressor).cast(INSTANT),
                }
            ),
        )
        rows = self._common("o", each, self.admitted)
        yield (
            "orders",
            pa.table(
                {
                    **rows,
                    "order_id": rows["record_id"],
                    "code": picked(["600-7", "24323-8"], self.rng.integers(0, 2, visits)),
                    "code_system": picked(["loinc"], np.zeros(visits, int)),
                    "category": picked(["MB"], np.zeros(visits, int)),
                    "observed_at": times(self.admitted + HOUR),
                    "received_at": times(self.admitted + 2 * HOUR),
                    "reported_at": times(self.admitted + 5 * HOUR),
                    "requested_at": times(self.admitted),
                }
            ),
        )
        some = each[: visits // 4]
        rows = self._common("q", some, self.admitted[some])
        yield (
            "procedures",
            pa.table(
                {
                    **rows,
                    "code": picked(["0DTJ4ZZ", "5A1955Z"], self.rng.integers(0, 2, len(some))),
                    "code_system": picked(["icd10pcs"], np.zeros(len(some), int)),
                    "performed_at": times(self.admitted[some] + 6 * HOUR),
                }
            ),
        )
        rows = self._common("i", some, self.admitted[some])
        yield (
            "imaging_instances",
            pa.table(
                {
                    **{k: rows[k] for k in ("record_id", "ordinal", "patient_id", "age_years")},
                    "study_uid": rows["record_id"],
                    "series_uid": rows["record_id"],
                    "instance_uid": rows["record_id"],
                    "modality": picked(["CT", "MR", "DX"], self.rng.integers(0, 3, len(some))),
                    "contrast": pa.array(self.rng.integers(0, 2, len(some)).astype(bool)),
                    "file_size": pa.array(self.rng.integers(100_000, 9_000_000, len(some))),
                    "study_at": times(self.admitted[some] + 2 * DAY),
                }
            ),
        )


def build(folder: Path, observations: int, seed: int = 1) -> dict[str, int]:
    """Make a warehouse with at least so many observations; return the rows of each table."""
    a_visit = ROUNDS * len(VITALS) + len(LABS)
    parts = max(1, round(observations / 1_000_000))
    visits = -(-observations // (parts * a_visit))
    settings = Settings(
        "limited", key_id="0" * 16, policy_sha256="0" * 64, data_use_agreement="synthetic"
    )
    known = load_tables()
    with (
        Warehouse.create(folder, settings) as warehouse,
        IngestTransaction(warehouse, "bench") as ingest,
    ):
        spec = warehouse.write_spec()
        files: list[WrittenFile] = []
        for number in range(parts):
            part = Part(number, visits // 2, visits, seed)
            tables = {"observations": part.observations(), **dict(part.others())}
            fitting = {
                name: rows.select([c for c in rows.column_names if c in known[name].columns])
                for name, rows in tables.items()
            }
            files += write_tables(spec, fitting, ingest.attempt, number)
        now = datetime.now(UTC)
        ledger = {
            "ingests": pa.table({"ingest_id": ["bench"], "started_at": [now], "finished_at": [now]})
        }
        return ingest.commit(files, ledger)


def main() -> None:
    """Build one from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--observations", type=int, default=20_000_000)
    options = parser.parse_args()
    began = time.perf_counter()
    print(build(options.folder, options.observations), f"{time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()

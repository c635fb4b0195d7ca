"""Clean rows gather: pieces in which a column is encoded, plain or absent become one file."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from lakehouse.batch import ENCODED, conform, make_clean_batch
from lakehouse.definitions.tables import load_tables
from lakehouse.pipeline.writing import Writer
from lakehouse.privacy.keys.secret import Secret
from lakehouse.privacy.rules.policy import load_policy
from lakehouse.storage.metadata.settings import Settings
from lakehouse.storage.transactions.transaction import IngestTransaction
from lakehouse.storage.warehouse import Warehouse


@pytest.fixture
def warehouse(tmp_path: Path) -> Warehouse:
    key = Secret.create(tmp_path / "key")
    settings = Settings("safe_harbor", key.key_id, load_policy("safe_harbor").sha256)
    return Warehouse.create(tmp_path / "warehouse", settings)


def test_pieces_of_either_type_become_one_file(warehouse: Warehouse) -> None:
    plain = pa.array(["HGB", None, "GLU"])
    pieces = [plain.dictionary_encode(), pa.nulls(3, pa.string()), plain, plain[:0], None]
    with (
        IngestTransaction(warehouse, "one") as transaction,
        Writer(warehouse.write_spec(), transaction.attempt) as writer,
    ):
        for i, code in enumerate(pieces):
            columns = {"ordinal": pa.array([i] * (3 if code is None else len(code)), pa.int32())}
            rows = pa.table(columns if code is None else columns | {"code": code})
            writer.add(make_clean_batch({"observations": rows}))
        (file,) = writer.finish()
        stored = pq.read_table(file.location)
    by_piece = [stored.filter(pc.equal(stored["ordinal"], i))["code"] for i in range(5)]
    expected = [plain.to_pylist(), [None] * 3, plain.to_pylist(), [], [None] * 3]
    assert [sorted(c.to_pylist(), key=str) for c in by_piece] == [
        sorted(e, key=str) for e in expected
    ]


def test_a_file_holds_no_value_of_rows_that_stand_elsewhere(tmp_path: Path) -> None:
    key = Secret.create(tmp_path / "key")
    policy = load_policy("safe_harbor").sha256
    settings = Settings("safe_harbor", key.key_id, policy, buckets=4)
    warehouse = Warehouse.create(tmp_path / "warehouse", settings)
    who = [f"{i:032x}" for i in range(40)]
    codes = [f"CODE-OF-{i}" for i in range(40)]
    rows = pa.table({"patient_id": who, "code": pa.array(codes).dictionary_encode()})
    with (
        IngestTransaction(warehouse, "one") as transaction,
        Writer(warehouse.write_spec(), transaction.attempt) as writer,
    ):
        writer.add(make_clean_batch({"observations": rows}))
        files = writer.finish()
        assert len(files) == 4
        for file in files:
            stored = pq.read_table(file.location, read_dictionary=["code"], partitioning=None)
            code = stored["code"].chunk(0)
            assert sorted(code.dictionary.to_pylist()) == sorted(code.to_pylist())


def test_encoded_columns_stay_so_only_where_they_may() -> None:
    schema = load_tables()["observations"].schema
    rows = pa.table({"code": pa.array(["HGB", None]).dictionary_encode()})
    assert conform(rows, schema).schema.equals(schema)
    assert conform(rows, schema, encoded=True)["code"].type == ENCODED
    assert make_clean_batch({"observations": rows}).tables["observations"]["code"].type == ENCODED
    # a column that is no string is cast, whatever its encoding
    numbers = pa.table({"value_number": pa.array([1.5, None]).dictionary_encode()})
    assert conform(numbers, schema, encoded=True).schema.equals(schema)

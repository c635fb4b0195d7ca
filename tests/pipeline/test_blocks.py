"""Clean rows as packed blocks: what goes in comes out, and the memory comes back."""

from __future__ import annotations

import pyarrow as pa

from lakehouse.batch import make_clean_batch
from lakehouse.pipeline.blocks import BlockProvenance, pack_block, unpack_block
from lakehouse.pipeline.engine import ProcessedBatch

MADE = BlockProvenance("0" * 16, "1" * 64, "UTC")


def piece(n: int) -> ProcessedBatch:
    rows = {"city": pa.array([f"City {i}" for i in range(n)])}
    return ProcessedBatch(
        make_clean_batch({"patients": pa.table(rows), "records": pa.table({"n": range(3)})})
    )


def test_what_goes_in_comes_out() -> None:
    before = piece(10)
    found = {}
    for batch, reports, made in unpack_block(pack_block(before, MADE)):
        assert reports == [] and made == MADE
        found |= batch.tables
    assert found == before.batch.tables


def test_a_block_without_rows_holds_nothing() -> None:
    assert list(unpack_block(pack_block(ProcessedBatch(make_clean_batch({})), MADE))) == []


def test_a_block_that_is_done_with_leaves_no_memory_behind() -> None:
    pack_block(piece(10), MADE)
    before = pa.total_allocated_bytes()
    for _ in range(5):
        assert pack_block(piece(50_000), MADE).nbytes > 500_000
    assert pa.total_allocated_bytes() - before < 500_000

"""Which engine drives, what a commit holds off, and how rows and file lists travel."""

from __future__ import annotations

import os
import pickle
import signal
from dataclasses import replace

import pyarrow as pa
import pytest

from lakehouse.batch import make_clean_batch
from lakehouse.definitions.tables import load_tables
from lakehouse.errors import UserError
from lakehouse.pipeline.blocks import BlockProvenance, pack_block, unpack_block
from lakehouse.pipeline.engine import (
    AUTO_BYTES,
    ProcessedBatch,
    check_engine,
    choose_engine,
    defer_interrupt,
    engine_names,
    load_engine,
)
from lakehouse.pipeline.reports import FileReport, Tally
from lakehouse.sources.input_file import InputFile

SMALL = InputFile("/feeds/DOE.hl7", "/feeds", content_size=AUTO_BYTES - 1)
LARGE = replace(SMALL, content_size=AUTO_BYTES)


@pytest.mark.parametrize(
    ("name", "file", "address", "engine"),
    [
        ("auto", SMALL, None, "local"),
        ("auto", LARGE, None, "ray"),
        ("auto", SMALL, "head:6379", "ray"),
        ("local", LARGE, None, "local"),
        ("ray", SMALL, None, "ray"),
    ],
)
def test_the_engine_that_is_done_first(
    name: str, file: InputFile, address: str | None, engine: str
) -> None:
    assert choose_engine(name, [file], address) == engine


def test_an_engine_that_is_none_and_one_that_contradicts() -> None:
    with pytest.raises(UserError, match="local"):
        check_engine("locale", None)
    with pytest.raises(UserError, match="no Ray address"):
        check_engine("local", "head:6379")


def test_engines_are_found_by_their_folder() -> None:
    assert engine_names() == ["local", "ray"]
    assert callable(load_engine("local").run)


def test_ctrl_c_waits_for_a_commit() -> None:
    done = []
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), defer_interrupt():
        os.kill(os.getpid(), signal.SIGINT)
        done.append("committed")
    assert done == ["committed"]
    with defer_interrupt():
        pass
    assert signal.getsignal(signal.SIGINT) is before


def test_a_packed_block_gives_back_what_was_packed() -> None:
    schema = load_tables()["rejects"].schema
    rows = pa.Table.from_pylist([{"file_id": "f", "record_ordinal": 3}], schema)
    report = FileReport("f", "p", "hl7v2", n_records=4)
    report.dropped.update({"ZPD": 2})
    made = BlockProvenance("key", "policy", "Europe/Zurich")
    piece = ProcessedBatch(make_clean_batch({"rejects": rows, "records": _empty()}), [report])
    block = pack_block(piece, made)
    (batch, _, by), (_, reports, _) = unpack_block(block)
    assert batch.tables["rejects"].equals(rows)
    assert (by, reports) == (made, [report])
    with pytest.raises(UserError, match="packed blocks only"):
        list(unpack_block(pa.table({"name": ["DOE"]})))


def _empty() -> pa.Table:
    return load_tables()["records"].schema.empty_table()


def test_figures_add_up_and_travel() -> None:
    total = sum([Tally(1, 2, 0, 10), Tally(0, 1, 1, 5)], Tally())
    assert pickle.loads(pickle.dumps(total)) == Tally(1, 3, 1, 15)

"""What every format must do, asked of every format that is found.

A new format gets these tests by being there. Its samples are the files it recognises in
``tests/data/<format>``, which are of our own making, and in the public sample data's folder of its
name where there is one.
"""

from __future__ import annotations

import io
import pickle
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from lakehouse.batch import ENCODED, RawBatch, Source, conform, rejects_table
from lakehouse.definitions.tables import load_tables
from lakehouse.formats import SNIFF_BYTES, Format, ManyFilesFormat, formats, recognise
from lakehouse.privacy.deidentify import Deidentifier
from lakehouse.privacy.keys.secret import Secret
from lakehouse.privacy.rules.policy import load_policy
from lakehouse.quality import validate
from tests.helpers.samples import public_samples

OWN = Path(__file__).parents[1] / "data"
N_SAMPLES = 12
MAX_SAMPLE_BYTES = 300_000
CANARY = b"ZQXJKVWCANARY"
BATCH_BYTES = 256 << 20
"""No batch may hold more; a parse task has 1 GiB."""

every_format = pytest.mark.parametrize("known", formats().values(), ids=list(formats()))


def samples_of(known: Format, folder: Path) -> dict[str, bytes]:
    """Return files of a format, one from each sub-folder in turn."""
    by_folder: dict[Path, list[Path]] = {}
    for path in sorted((folder / known.name).rglob("*")):
        if path.is_file() and 0 < path.stat().st_size <= MAX_SAMPLE_BYTES:
            by_folder.setdefault(path.parent, []).append(path)
    found: dict[str, bytes] = {}
    while by_folder and len(found) < N_SAMPLES:
        for parent in list(by_folder):
            path = by_folder[parent].pop(0)
            data = path.read_bytes()
            if recognise(data[:SNIFF_BYTES], path.suffix) is known:
                found[str(path)] = data
            if not by_folder[parent]:
                del by_folder[parent]
    return found


@pytest.fixture
def samples(known: Format) -> dict[str, bytes]:
    own = samples_of(known, OWN)
    assert own, f"add small samples of your own making to tests/data/{known.name}/"
    return own | samples_of(known, public_samples())


def source_of(data: bytes, number: int = 0) -> Source:
    return Source(f"{number:032x}", size=len(data))


def parse(known: Format, data: bytes, number: int = 0) -> list[RawBatch]:
    return list(known.parse(io.BytesIO(data), source_of(data, number)))


def rejects_of(batch: RawBatch) -> pa.Table:
    parts = [rejects_table(batch.rejects)]
    if "rejects" in batch.tables:
        parts.append(batch.tables["rejects"])
    return pa.concat_tables(parts, promote_options="permissive")


def n_refused(batches: list[RawBatch]) -> int:
    """Return how many records were rejected as a whole."""
    refused = set()
    for number, batch in enumerate(batches):
        for row in rejects_of(batch).to_pylist():
            if row["level"] == "record" and row["record_ordinal"] >= 0:
                refused.add((number, row["file_id"], row["record_ordinal"]))
    return len(refused)


def rows(batches: list[RawBatch]) -> Counter[str]:
    """Return every row of every table, in a form that does not hang on the batches."""
    found: Counter[str] = Counter()
    for batch in batches:
        for name, table in batch.tables.items():
            for row in table.to_pylist():
                filled = sorted((k, repr(v)) for k, v in row.items() if v is not None)
                found[f"{name} {filled}"] += 1
    return found


def account(batches: list[RawBatch]) -> tuple[int, int]:
    """Return records found, and records stored or rejected."""
    stored = sum(len(b.tables["records"]) for b in batches if "records" in b.tables)
    return sum(b.n_records for b in batches), stored + n_refused(batches)


@every_format
def test_it_describes_itself(known: Format) -> None:
    assert isinstance(known, Format)
    assert known.name == known.name.lower()
    assert all(e.startswith(".") and e == e.lower() for e in known.extensions)
    assert known.doc.endswith(".")
    assert known.main_table in load_tables()
    assert pickle.loads(pickle.dumps(known)).name == known.name


@every_format
def test_it_knows_its_own_files_and_no_noise(known: Format, samples: dict[str, bytes]) -> None:
    chance = random.Random(7)
    assert not known.sniff(b"")
    for _ in range(200):
        assert not known.sniff(chance.randbytes(chance.randrange(1, SNIFF_BYTES)))
    for data in samples.values():
        for end in {1, 3, 8, 100, 131, min(len(data), SNIFF_BYTES) // 2}:
            known.sniff(data[:end])  # a beginning of any length raises nothing


@every_format
def test_an_empty_file_gives_no_row(known: Format) -> None:
    batches = parse(known, b"")
    assert not any(len(t) for b in batches for n, t in b.tables.items() if n != "rejects")


@every_format
def test_every_record_is_stored_or_rejected(known: Format, samples: dict[str, bytes]) -> None:
    for path, data in samples.items():
        found, answered = account(parse(known, data))
        assert found == answered, path
        assert found > 0, path


@every_format
def test_only_declared_columns_in_their_types(known: Format, samples: dict[str, bytes]) -> None:
    for path, data in samples.items():
        for batch in parse(known, data):
            for name, table in batch.tables.items():
                definition = load_tables()[name]
                # a name with an underscore before it is raw, and never stored
                stored = [c for c in table.column_names if not c.startswith("_")]
                assert not set(stored) - set(definition.columns), f"{path}: undeclared in {name}"
                years = {c.name for c in definition.of_class("birth_date")}
                plain = table.select([c for c in stored if c not in years])
                conform(plain, definition.schema)  # raises what does not fit


@every_format
def test_record_ids_name_the_file_and_the_place(known: Format, samples: dict[str, bytes]) -> None:
    for number, data in enumerate(samples.values()):
        seen: set[str] = set()
        for batch in parse(known, data, number):
            ids = {n: t["record_id"].to_pylist() for n, t in batch.tables.items() if n != "rejects"}
            own = ids.get("records", [])
            assert all(i.startswith(f"{number:032x}"[:16] + "-") and len(i) == 25 for i in own)
            assert len(set(own)) == len(own)
            assert seen.isdisjoint(own)
            seen.update(own)
            for name, others in ids.items():
                assert set(others) <= set(own), f"{name} has a row of no record"


@every_format
def test_a_file_cut_off_anywhere_is_rows_and_rejects(
    known: Format, samples: dict[str, bytes]
) -> None:
    chance = random.Random(11)
    for path, data in list(samples.items())[:10]:
        for _ in range(12):
            end = chance.randrange(1, len(data))
            found, answered = account(parse(known, data[:end]))
            assert found == answered, f"{path} cut off at {end}"


class Trickle(io.RawIOBase):
    """A stream that cannot go back and gives a few bytes at a time."""

    def __init__(self, data: bytes) -> None:
        super().__init__()
        self._data = io.BytesIO(data)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
        some = self._data.read(min(len(buffer), 997))
        buffer[: len(some)] = some
        return len(some)


@every_format
def test_a_sequential_stream_gives_the_same_rows(known: Format, samples: dict[str, bytes]) -> None:
    for path, data in samples.items():
        stream = io.BufferedReader(Trickle(data), 64)
        sequential = list(known.parse(stream, source_of(data)))
        assert rows(sequential) == rows(parse(known, data)), path


def garbled(data: bytes, chance: random.Random) -> bytes:
    """Return the data with the canary in some places, over or between what is there."""
    for _ in range(chance.randrange(1, 12)):
        place = chance.randrange(len(data))
        data = data[:place] + CANARY + data[place + chance.choice((0, len(CANARY))) :]
    return data


@pytest.mark.slow
@every_format
def test_garbled_files_are_rows_and_rejects_that_quote_nothing(
    known: Format, samples: dict[str, bytes]
) -> None:
    chance = random.Random(13)
    token = CANARY.decode()
    for path, data in samples.items():
        for _ in range(6):
            batches = parse(known, garbled(data, chance))
            found, answered = account(batches)
            assert found == answered, path
            for batch in batches:
                told = rejects_of(batch).select(["rule", "message", "location", "level"])
                assert token not in repr(told.to_pylist()), path
                assert token not in repr((batch.dropped, batch.dropped_by_file)), path


@every_format
def test_a_raw_batch_never_travels(known: Format, samples: dict[str, bytes]) -> None:
    batch = parse(known, next(iter(samples.values())))[0]
    with pytest.raises(TypeError, match="never pickled"):
        pickle.dumps(batch)


@every_format
def test_what_comes_out_can_be_deidentified(
    known: Format, samples: dict[str, bytes], secret: Secret
) -> None:
    for profile in ("safe_harbor", "limited"):
        deidentify = Deidentifier(load_policy(profile), secret)
        for data in list(samples.values())[:6]:
            for batch in parse(known, data):
                for name, table in deidentify(validate(batch, known.name)).tables.items():
                    plain = [
                        f.with_type(pa.string()) if f.type == ENCODED else f for f in table.schema
                    ]
                    assert pa.schema(plain).equals(load_tables()[name].schema)


@every_format
def test_batches_are_bounded(known: Format, samples: dict[str, bytes]) -> None:
    data = max(samples.values(), key=len)
    once = sum(b.n_records for b in parse(known, data))
    if sum(b.n_records for b in parse(known, data * 2)) != 2 * once:
        pytest.skip("one record a file: a file cannot be made longer by repeating it")

    class Repeated(io.RawIOBase):
        """The file again and again: 48 MB that are never in memory."""

        left = 48_000_000 // len(data)
        rest = b""

        def readable(self) -> bool:
            return True

        def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
            if not self.rest and self.left:
                self.left -= 1
                self.rest = data
            part, self.rest = self.rest[: len(buffer)], self.rest[len(buffer) :]
            buffer[: len(part)] = part
            return len(part)

    total = 48_000_000 // len(data) * once
    sizes, count = [], 0
    for batch in known.parse(io.BufferedReader(Repeated(), 1 << 16), Source("0" * 32)):
        sizes.append(sum(t.nbytes for t in batch.tables.values()))
        count += batch.n_records
        assert sum(batch.by_file.values()) in (0, batch.n_records)
    assert count == total
    assert len(sizes) > 1
    assert max(sizes) < BATCH_BYTES


many_files = pytest.mark.parametrize(
    "known",
    [f for f in formats().values() if isinstance(f, ManyFilesFormat)],
    ids=lambda f: str(f.name),
)


@many_files
def test_files_read_together_give_the_rows_of_each(
    known: ManyFilesFormat, samples: dict[str, bytes]
) -> None:
    alone = [b for n, data in enumerate(samples.values()) for b in parse(known, data, n)]

    def streams() -> Iterator[tuple[io.BytesIO, Source]]:
        for number, data in enumerate(samples.values()):
            yield io.BytesIO(data), source_of(data, number)

    together = list(known.parse_many(streams()))

    def settled(batches: list[RawBatch]) -> Counter[str]:
        return rows(
            [RawBatch({k: t for k, t in b.tables.items() if k != "rejects"}) for b in batches]
        )

    assert settled(together) == settled(alone)
    told = Counter()  # type: ignore[var-annotated]
    for batch in together:
        told.update(batch.by_file)
        assert None not in rejects_of(batch)["file_id"].to_pylist()
    assert sum(told.values()) == sum(b.n_records for b in alone)
    assert n_refused(together) == n_refused(alone)


@many_files
def test_a_fingerprint_does_not_hang_on_what_is_not_read(
    known: ManyFilesFormat, samples: dict[str, bytes]
) -> None:
    prints = {}
    for data in samples.values():
        mark = known.fingerprint(io.BytesIO(data), len(data))
        assert mark == known.fingerprint(io.BytesIO(data), len(data))
        if mark is not None:
            prints.setdefault((mark, len(data)), set()).add(repr(rows(parse(known, data))))
    assert all(len(same) == 1 for same in prints.values())

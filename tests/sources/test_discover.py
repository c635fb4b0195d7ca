"""What is input and what is not; one content is one file however it is packed."""

from __future__ import annotations

import gzip
import io
import os
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import pytest

from lakehouse.errors import InputError
from lakehouse.privacy.keys.secret import Secret
from lakehouse.sources.content import Opener
from lakehouse.sources.discover import discover
from lakehouse.sources.input_file import BROKEN, TRUNCATED

pytestmark = pytest.mark.usefixtures("plugin")

BODY = b"LINES\nDOE;2024-01-01;1\n"


def write(folder: Path, *names: str) -> None:
    """Write files that all differ."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(BODY + name.encode())


def locations(paths: object, secret: Secret, root: Path) -> list[str]:
    found = discover(paths, secret).files  # type: ignore[arg-type]
    return [os.path.relpath(f.location, root) for f in found]


def zipped(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def test_a_folder_is_all_below_it_in_the_order_of_names(tmp_path: Path, secret: Secret) -> None:
    write(tmp_path, "b/2", "a", "b/10", "_landing/x", "c", "b/.part", ".git/config")
    found = discover(tmp_path, secret)
    assert locations(tmp_path, secret, tmp_path) == ["_landing/x", "a", "b/10", "b/2", "c"]
    assert found.n_hidden == 2  # `.part`, and the folder `.git` as one name


def test_a_hidden_file_is_taken_when_it_is_named(tmp_path: Path, secret: Secret) -> None:
    write(tmp_path, ".only")
    assert len(discover(tmp_path / ".only", secret).files) == 1


def test_globs_and_overlaps_give_each_file_once(tmp_path: Path, secret: Secret) -> None:
    write(tmp_path, "a.hl7", "b.hl7", "c.txt", "d/e.hl7")
    named = [str(tmp_path / "*.hl7"), str(tmp_path / "**" / "*.hl7"), tmp_path / "a.hl7"]
    assert locations(named, secret, tmp_path) == ["a.hl7", "b.hl7", "d/e.hl7"]


def test_a_name_with_brackets_is_a_name_first(tmp_path: Path, secret: Secret) -> None:
    write(tmp_path, "ward [7].hl7", "ward 7.hl7")
    assert locations(str(tmp_path / "ward [7].hl7"), secret, tmp_path) == ["ward [7].hl7"]


def test_a_file_uri_is_the_path(tmp_path: Path, secret: Secret) -> None:
    write(tmp_path, "my feed/a.hl7")
    (by_uri,) = discover((tmp_path / "my feed").as_uri(), secret).files
    (by_path,) = discover(tmp_path / "my feed", secret).files
    assert by_uri.path_id == by_path.path_id


def test_links_are_followed_once(tmp_path: Path, secret: Secret) -> None:
    write(tmp_path, "data/a")
    (tmp_path / "data" / "again").symlink_to(tmp_path / "data")
    (tmp_path / "data" / "b").symlink_to(tmp_path / "data" / "a")
    assert locations(tmp_path / "data", secret, tmp_path) == ["data/a", "data/b"]


def test_the_warehouse_is_no_input(tmp_path: Path, secret: Secret) -> None:
    write(tmp_path, "feed/a", "warehouse/tables/x.parquet")
    found = discover(tmp_path, secret, exclude=(str(tmp_path / "warehouse"),))
    assert [f.location for f in found.files] == [str(tmp_path / "feed" / "a")]


@pytest.mark.parametrize("name", ["missing", "missing/*.hl7", "s3x://bucket/a"])
def test_what_is_not_there_is_an_error_that_names_it(
    name: str, tmp_path: Path, secret: Secret
) -> None:
    typed = name if "://" in name else str(tmp_path / name)
    with pytest.raises(InputError) as caught:
        discover(typed, secret)
    assert typed in caught.value.problem
    assert caught.value.remedy


def test_an_empty_folder_is_an_error(tmp_path: Path, secret: Secret) -> None:
    with pytest.raises(InputError, match="holds no file"):
        discover(tmp_path, secret)
    write(tmp_path, ".hidden")
    with pytest.raises(InputError, match="1 whose name begins with a dot"):
        discover(tmp_path, secret)
    with pytest.raises(InputError, match="No input"):
        discover([], secret)


@contextmanager
def as_nobody() -> Iterator[None]:
    """Lose the rights of root, should the tests run as root."""
    if os.geteuid():
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.parametrize("fault", ["permission", "fifo"])
def test_a_file_that_cannot_be_read_is_an_error_that_does_not_name_it(
    fault: str, key_file: Path, secret: Secret
) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        write(folder, "fine")
        bad = folder / "DOE_JOHN_1950"
        if fault == "permission":
            bad.write_bytes(BODY)
            bad.chmod(0)
        elif fault == "fifo":
            os.mkfifo(bad)
        else:
            bad.symlink_to("nowhere" if fault == "dangling" else bad)
        with as_nobody(), pytest.raises(InputError) as caught:
            discover(folder, secret)
        assert str(folder) in caught.value.problem
        assert "DOE" not in str(caught.value)
        if fault != "fifo":
            with as_nobody(), pytest.raises(InputError, match="DOE_JOHN"):
                discover(bad, secret)  # the person typed it


@pytest.mark.parametrize("end", ["nowhere", "DOE_JOHN_1950"])
def test_a_link_that_leads_nowhere_holds_nobody_up(
    end: str, tmp_path: Path, secret: Secret
) -> None:
    """Also one that leads to itself; it has no content that could be lost, and is counted."""
    write(tmp_path, "fine")
    (tmp_path / "DOE_JOHN_1950").symlink_to(end)
    found = discover(tmp_path, secret)
    assert (len(found.files), found.n_dangling) == (1, 1)
    with pytest.raises(InputError, match="is a link that leads nowhere"):
        discover(tmp_path / "DOE_JOHN_1950", secret)


def test_a_link_into_a_folder_that_is_shut_is_an_error(key_file: Path, secret: Secret) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        write(folder, "in/fine", "shut/file")
        (folder / "in" / "link").symlink_to(folder / "shut" / "file")
        (folder / "shut").chmod(0o700)
        with as_nobody(), pytest.raises(InputError, match="permission denied"):
            discover(folder / "in", secret)


def test_another_warehouse_is_no_input(tmp_path: Path, secret: Secret) -> None:
    write(tmp_path, "a", "old/lakehouse.json", "old/tables/x.parquet")
    with pytest.raises(InputError, match="is a warehouse or holds one"):
        discover(tmp_path, secret)
    assert len(discover(tmp_path, secret, exclude=(str(tmp_path / "old"),)).files) == 1


def test_one_content_is_one_file_however_it_is_packed(tmp_path: Path, secret: Secret) -> None:
    (tmp_path / "1.lines").write_bytes(BODY)
    (tmp_path / "2.lines.gz").write_bytes(gzip.compress(BODY))
    (tmp_path / "3.dat").write_bytes(gzip.compress(BODY, mtime=7))  # by content, not by name
    (tmp_path / "4.zip").write_bytes(zipped({"a": BODY, "sub/b.gz": gzip.compress(BODY)}))
    (tmp_path / "5.zip").write_bytes(zipped({"inner.zip": zipped({"c": BODY})}))
    files = discover(tmp_path, secret).files
    assert len(files) == 6
    assert {f.file_id for f in files} == {secret.digest("file", BODY)}
    assert {f.format for f in files} == {"lines"}
    assert len({f.path_id for f in files}) == 6
    with Opener() as opener:
        for file in files:
            with opener.open(file) as content:
                assert content.read() == BODY


def test_members_of_one_name_are_all_taken_and_hidden_ones_counted(
    tmp_path: Path, secret: Secret
) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a", BODY + b"1")
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("a", BODY + b"2")
        archive.writestr("__MACOSX/._a", b"x")
        archive.mkdir("folder")
    (tmp_path / "x.zip").write_bytes(buffer.getvalue())
    found = discover(tmp_path, secret)
    assert {f.file_id for f in found.files} == {
        secret.digest("file", BODY + n) for n in (b"1", b"2")
    }
    assert found.n_hidden == 1


def damaged(kind: str) -> bytes:
    if kind == "gzip garbled":
        good = bytearray(gzip.compress(os.urandom(5000)))
        good[2500] ^= 0xFF
        return bytes(good)
    if kind == "zip cut off":
        return zipped({"a": BODY * 500})[:-30]
    return b"PK\x03\x04 is how I sign my letters"


def test_a_gzip_file_whose_end_is_missing_is_what_can_be_read(
    tmp_path: Path, secret: Secret
) -> None:
    body = BODY + os.urandom(300_000)
    (tmp_path / "a.gz").write_bytes(gzip.compress(body)[:-20])
    (tmp_path / "b.zip").write_bytes(zipped({"a.gz": gzip.compress(body)[:-20]}))
    (tmp_path / "c.gz").write_bytes(gzip.compress(os.urandom(30_000))[:-20])  # no format knows it
    a, b, c = discover(tmp_path, secret).files
    assert (a.packing, b.packing, c.packing) == (TRUNCATED, TRUNCATED, BROKEN)
    assert len(body) - 100 < a.content_size <= len(body)
    assert a.file_id == b.file_id == secret.digest("file", body[: a.content_size])


@pytest.mark.parametrize("kind", ["gzip garbled", "zip cut off", "no zip at all"])
def test_a_damaged_packing_is_one_file_known_by_its_bytes(
    kind: str, tmp_path: Path, secret: Secret
) -> None:
    data = damaged(kind)
    (tmp_path / "x").write_bytes(data)
    (file,) = discover(tmp_path, secret).files
    assert file.packing == BROKEN
    assert file.file_id == secret.digest("file", data)


def test_a_damaged_member_leaves_its_neighbours_alone(tmp_path: Path, secret: Secret) -> None:
    body = os.urandom(3000)
    data = bytearray(zipped({"good": BODY, "bad": body, "fine": BODY + b"x"}))
    place = data.index(body[100:120]) if body[100:120] in data else data.index(b"bad") + 1000
    data[place] ^= 0xFF
    (tmp_path / "x.zip").write_bytes(bytes(data))
    files = discover(tmp_path, secret).files
    assert [f.packing for f in files] == ["plain", BROKEN, "plain"]
    again = discover(tmp_path, secret).files  # known again, though its content cannot be read
    assert [f.file_id for f in again] == [f.file_id for f in files]


def test_an_empty_file_is_a_file(tmp_path: Path, secret: Secret) -> None:
    (tmp_path / "empty").touch()
    (file,) = discover(tmp_path, secret).files
    assert (file.content_size, file.format) == (0, None)
    assert file.file_id == secret.digest("file", b"")


def test_digests_are_keyed(tmp_path: Path, secret: Secret) -> None:
    write(tmp_path, "a")
    other = Secret.create(tmp_path.parent / f"{tmp_path.name}-other.key")
    mine, theirs = (next(iter(discover(tmp_path, s).files)) for s in (secret, other))
    assert mine.file_id != theirs.file_id
    assert mine.path_id != theirs.path_id


def test_a_fingerprint_stands_for_content_and_size(tmp_path: Path, secret: Secret) -> None:
    head = b"CARD DOE;2024-01-01;1\n".ljust(64)
    for name, tail in {"a": b"pixels", "b": b"PIXELS", "c": b"more pixels"}.items():
        (tmp_path / name).write_bytes(head + tail)
    (tmp_path / "d.zip").write_bytes(zipped({"a": head + b"pixels"}))
    a, b, c, d = discover(tmp_path, secret).files
    assert a.has_fingerprint
    assert a.file_id == b.file_id == d.file_id != c.file_id


def test_what_travels_shows_no_name(tmp_path: Path, secret: Secret, plugin: ModuleType) -> None:
    write(tmp_path, "DOE_JOHN.lines")
    (file,) = discover(tmp_path, secret).files
    assert "DOE" not in repr(file)


@pytest.mark.parametrize("packed", [False, True], ids=["tar", "tar.gz"])
def test_members_of_a_tar_are_files_like_others(
    tmp_path: Path, secret: Secret, packed: bool
) -> None:
    (tmp_path / "plain").mkdir()
    for name in ("a", "b"):
        (tmp_path / "plain" / name).write_bytes(BODY + name.encode())
    (tmp_path / "packed").mkdir()
    with tarfile.open(tmp_path / "packed" / "all", "w:gz" if packed else "w") as archive:
        archive.add(tmp_path / "plain", ".")
    plain = {f.file_id for f in discover(tmp_path / "plain", secret).files}
    found = discover(tmp_path / "packed", secret)
    assert {f.file_id for f in found.files} == plain
    with Opener() as opener:
        contents = sorted(opener.open(f).read() for f in found.files)
    assert contents == [BODY + b"a", BODY + b"b"]


def test_a_truncated_tar_is_broken(tmp_path: Path, secret: Secret) -> None:
    (tmp_path / "body").write_bytes(BODY * 100)
    with tarfile.open(tmp_path / "all.tar", "w") as archive:
        archive.add(tmp_path / "body", "body")
    data = (tmp_path / "all.tar").read_bytes()
    (tmp_path / "body").unlink()
    (tmp_path / "all.tar").write_bytes(data[: 512 + len(BODY)])
    (file,) = discover(tmp_path, secret).files
    assert file.packing == BROKEN

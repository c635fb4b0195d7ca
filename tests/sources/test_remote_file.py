"""Input in an object store: a real S3 server on loopback."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import lakehouse
from lakehouse.errors import InputError
from lakehouse.privacy.keys.secret import Secret
from lakehouse.sources.content import file_system, limit_retries
from lakehouse.sources.discover import discover
from lakehouse.storage.warehouse import Warehouse

BODY = b"LINES\nDOE-1;2024-01-01;1\nDOE-2;2024-01-02;2\n"


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, bytes], None]]:
    """A function that puts an object into the bucket ``hospital``."""
    server_module = pytest.importorskip("moto.server", reason="moto is not installed")
    import boto3

    server = server_module.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    access = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}
    place = {"AWS_ENDPOINT_URL": f"http://{host}:{port}", "AWS_REGION": "us-east-1"}
    for name, value in {**access, **place, "AWS_EC2_METADATA_DISABLED": "true"}.items():
        monkeypatch.setenv(name, value)
    client = boto3.client("s3", endpoint_url=place["AWS_ENDPOINT_URL"], region_name="us-east-1")
    client.create_bucket(Bucket="hospital")
    file_system.cache_clear()
    yield lambda key, body: client.put_object(Bucket="hospital", Key=key, Body=body)
    client.close()
    server.stop()
    file_system.cache_clear()


@pytest.mark.usefixtures("plugin")
def test_folders_patterns_and_names(bucket: Callable[[str, bytes], None], secret: Secret) -> None:
    for key in ("in/a b.lines", "in/sub/c.lines", "in/.part", "in/d.txt", "in/e#1%.lines"):
        bucket(key, BODY + key.encode())

    def found(uri: str) -> list[str]:
        return [f.location.removeprefix("hospital/in/") for f in discover(uri, secret).files]

    everything = ["a b.lines", "d.txt", "e#1%.lines", "sub/c.lines"]
    assert found("s3://hospital/in") == found("s3://hospital/in/") == everything
    assert discover("s3://hospital/in", secret).n_hidden == 1
    assert found("s3://hospital/in/*.lines") == ["a b.lines", "e#1%.lines"]
    assert found("s3://hospital/in/**/*.lines?region=us-east-1") == [
        "a b.lines",
        "e#1%.lines",
        "sub/c.lines",
    ]
    assert found("s3://hospital/in/a b.lines") == ["a b.lines"]
    far = discover("s3://hospital/in", secret, exclude=("s3://hospital/in/sub",)).files
    assert [f.location for f in far if "sub" in f.location] == []
    for uri in ("s3://hospital/none", "s3://nowhere/in", "s3://hospital/in/*.zip"):
        with pytest.raises(InputError) as caught:
            discover(uri, secret)
        assert uri in caught.value.problem


def test_an_object_is_the_file_it_would_be_on_a_disk(
    bucket: Callable[[str, bytes], None],
    tmp_path: Path,
    new_warehouse: Callable[..., Warehouse],
    plugin: ModuleType,
) -> None:
    bucket("same/a.lines", BODY)
    bucket("same/b.lines.gz", gzip.compress(BODY * 1000))
    warehouse = new_warehouse()
    report = lakehouse.ingest("s3://hospital/same", warehouse)
    assert (report.n_files, report.n_unrecognised) == (2, 0)
    (tmp_path / "a.lines").write_bytes(BODY)
    assert lakehouse.ingest(tmp_path / "a.lines", warehouse).ingest_id is None
    assert lakehouse.ingest("s3://hospital/same/*", warehouse).n_known == 2


def test_an_object_that_changes_while_it_is_read_ends_the_ingest(
    bucket: Callable[[str, bytes], None], new_warehouse: Callable[..., Warehouse], plugin: Any
) -> None:
    bucket("changing/DOE.card", b"CARD DOE-1;2024-01-01;1\n".ljust(64) + b"pixels")
    warehouse = new_warehouse()
    other = b"CARD ROE;2024-01-01;1\n".ljust(70)
    plugin.on_record.append(lambda: bucket("changing/DOE.card", other))
    with pytest.raises(InputError, match="changed while it was being read") as caught:
        lakehouse.ingest("s3://hospital/changing", warehouse)
    assert "DOE" not in str(caught.value)
    plugin.on_record.clear()
    assert lakehouse.ingest("s3://hospital/changing", warehouse).rows["records"] == 1


class Requests:
    """What a server was asked for: the bytes of each GET that named a range."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.sizes: list[int] = []
        serving = pytest.importorskip("werkzeug.serving").WSGIRequestHandler
        run = serving.run_wsgi

        def noted(handler: Any) -> Any:
            asked = handler.headers.get("Range")
            if handler.command == "GET" and asked:
                first, last = asked.removeprefix("bytes=").split("-")
                self.sizes.append(int(last) - int(first) + 1)
            return run(handler)

        monkeypatch.setattr(serving, "run_wsgi", noted)


def a_large_image() -> bytes:
    """Return an image of 16 MB with a header of some hundred bytes."""
    import io

    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = CTImageStorage
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = "1.2.3.4"
    ds.Modality, ds.PatientID, ds.StudyDate = "CT", "P1", "20240102"
    ds.Rows = ds.Columns = 4000
    ds.BitsAllocated, ds.SamplesPerPixel = 8, 1
    ds.PixelData = bytes(16_000_000)
    out = io.BytesIO()
    ds.save_as(out, enforce_file_format=True)
    return out.getvalue()


def test_of_a_far_image_the_header_is_read_and_no_pixel(
    bucket: Callable[[str, bytes], None],
    new_warehouse: Callable[..., Warehouse],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bucket("images/1", a_large_image())
    requests = Requests(monkeypatch)
    report = lakehouse.ingest("s3://hospital/images", new_warehouse(), engine="local")
    assert report.rows["imaging_instances"] == 1
    # once to know the file, once to read it; once more where it is so fresh that its time of
    # writing cannot prove that it stayed the same
    assert len(requests.sizes) <= 3
    assert sum(requests.sizes) <= 192 << 10


@pytest.mark.slow
@pytest.mark.usefixtures("plugin")
def test_a_far_feed_is_read_by_growing_requests(
    bucket: Callable[[str, bytes], None],
    new_warehouse: Callable[..., Warehouse],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    body = b"LINES\n" + b"DOE-1;2024-01-01;1\n" * 200_000
    bucket("feed/a.lines", body)
    requests = Requests(monkeypatch)
    lakehouse.ingest("s3://hospital/feed", new_warehouse(), engine="local")
    assert 2 * len(body) <= sum(requests.sizes) + (64 << 10)  # read to be named, then to be parsed
    assert sum(requests.sizes) <= 2.2 * len(body)
    assert len(requests.sizes) <= 16


@pytest.mark.parametrize(
    ("uri", "asked"),
    [
        ("gs://b/x?anonymous=true", "gs://b/x?anonymous=true&retry_limit_seconds=30"),
        ("gs://b/x?retry_limit_seconds=5", "gs://b/x?retry_limit_seconds=5"),
        ("s3://b/x?region=eu-west-1", "s3://b/x?region=eu-west-1"),
    ],
)
def test_a_store_that_cannot_be_reached_is_not_waited_for_long(uri: str, asked: str) -> None:
    assert limit_retries(uri) == asked

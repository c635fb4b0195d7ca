"""The image that operators build: checked as a text everywhere, built where an engine runs."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCKERFILE = ROOT / "scripts" / "Dockerfile"
IGNORED = ROOT / "scripts" / "Dockerfile.dockerignore"


def instructions() -> list[tuple[str, str]]:
    """Return instruction and argument of each line, continued lines together."""
    text = DOCKERFILE.read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [(word, rest.strip()) for word, _, rest in (line.partition(" ") for line in lines)]


def arguments(word: str) -> list[str]:
    return [rest for name, rest in instructions() if name == word]


def copied() -> list[str]:
    """Return what it copies out of the checkout."""
    own = [rest.split()[:-1] for rest in arguments("COPY") if not rest.startswith("--from")]
    return [source for sources in own for source in sources]


def test_every_file_that_it_copies_exists_and_is_not_ignored() -> None:
    let_in = {line[1:] for line in IGNORED.read_text().splitlines() if line.startswith("!")}
    assert copied() and {s for s in copied() if not (ROOT / s).exists()} == set()
    assert set(copied()) == let_in


def test_it_copies_all_that_the_wheel_is_built_of() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]["only-include"]
    licence, readme = project["project"]["license-files"], [project["project"]["readme"]]
    assert {"pyproject.toml", "constraints.txt", *wheel, *licence, *readme} == {*copied()}


def test_the_base_image_is_pinned_to_a_release() -> None:
    (base,) = [a.removeprefix("BASE=") for a in arguments("ARG") if a.startswith("BASE=")]
    assert re.fullmatch(r"python:3\.\d+\.\d+-slim-\w+(@sha256:[0-9a-f]{64})?", base)
    assert all(image.split()[0] == "${BASE}" for image in arguments("FROM"))


def test_it_runs_as_a_user_without_rights() -> None:
    words = [word for word, _ in instructions()]
    last_stage = words[len(words) - words[::-1].index("FROM") :]
    assert "USER" in last_stage and last_stage.index("USER") < last_stage.index("ENTRYPOINT")
    assert all(user.split(":")[0].isdigit() and user != "0" for user in arguments("USER"))


def test_it_holds_no_secret_and_no_data() -> None:
    text = DOCKERFILE.read_text(encoding="utf-8")
    assert not re.search(r"password|token|credential|BEGIN .*KEY|index-url", text, re.IGNORECASE)
    assert not [s for s in copied() if fnmatch(s, "*.key") or s.startswith((".", "tests"))]
    keys = [a for rest in arguments("ENV") for a in rest.split() if "KEY" in a]
    assert keys == ["LAKEHOUSE_KEY_FILE=/run/secrets/lakehouse.key"]


@pytest.mark.slow
def test_it_builds_and_runs_where_an_engine_is(tmp_path: Path) -> None:
    engine = shutil.which("docker") or shutil.which("podman")
    if engine is None or subprocess.run([engine, "info"], capture_output=True).returncode:
        pytest.skip("no engine for containers runs here")
    (tmp_path / "feed").mkdir()
    message = "MSH|^~\\&|A|H|B|C|20240102030405||ADT^A01|1|P|2.5\rPID|1||42^^^H^MR||DOE^J\r"
    (tmp_path / "feed" / "a.hl7").write_text(message, newline="")
    build = [engine, "build", "-q", "-f", DOCKERFILE, "--build-arg", "VERSION=0.0.1", ROOT]
    image = subprocess.run(build, check=True, capture_output=True, text=True).stdout.strip()
    run = [engine, "run", "--rm", "--tmpfs", "/data:uid=10001", "--tmpfs", "/run/secrets:uid=10001"]
    ingest = "lakehouse init && lakehouse ingest /feed && lakehouse verify && id -u"
    run += ["-v", f"{tmp_path / 'feed'}:/feed:ro", "--entrypoint", "bash", image, "-euc", ingest]
    done = subprocess.run(run, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.splitlines()[-1] == "10001"

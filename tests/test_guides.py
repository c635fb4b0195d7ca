"""Every guide runs as written: its commands, its Python and its SQL, in order, on one hospital.

A guide is any ``*.md`` file of the repository. Its fenced blocks are run by their language:

- ``bash``: the commands, one after the other;
- ``console``: the same behind ``$ ``, each followed by what it prints;
- ``python``: in one namespace a guide, as the cells of a notebook;
- ``sql``: each SELECT in a session on ``./warehouse``; it has to give rows.

A block ``output`` behind another holds what that one prints; ``...`` stands for anything. A
block that cannot run here says so in front: ``<!-- not run: REASON -->``. Other languages
(``text``, ``ini`` ...) are to read. README comes first: its five minutes make the warehouse that
all others ask.
"""

from __future__ import annotations

import contextlib
import doctest
import io
import os
import re
import runpy
import shlex
import subprocess
import sys
import tomllib
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

from lakehouse.query.lakehouse import Lakehouse
from tests.helpers.processes import fork

ROOT = Path(__file__).parents[1]
ELSEWHERE = {"build", "dist", "demo", "data"}
GUIDES = sorted(
    path
    for path in ROOT.rglob("*.md")
    if not any(p in ELSEWHERE or p.startswith(".") for p in path.relative_to(ROOT).parts)
)
README = ROOT / "README.md"

RUN = {"bash", "console", "python", "sql"}
READ = {"text", "toml", "ini", "csv", "dockerfile", "yaml", "output"}

FENCE = re.compile(r"^```(?P<language>\w*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
NOT_RUN = re.compile(r"<!-- not run: (?P<reason>[^>]{10,}) -->\s*\Z")
SMALL = ("--patients", "12", "--years", "1")


@dataclass
class Block:
    """One fenced block of a guide.

    Attributes:
        where: ``sql/README.md:17``, the line of its fence.
        reason: Why it is not run, if it is not.
        expected: What it prints, if the guide says it.
    """

    where: str
    language: str
    body: str
    reason: str = ""
    expected: str | None = None


def blocks(path: Path) -> list[Block]:
    """Return the fenced blocks of a guide, each with the output that stands behind it."""
    text, end = path.read_text(encoding="utf-8"), 0
    found: list[Block] = []
    for match in FENCE.finditer(text):
        before, line = text[end : match.start()], text.count("\n", 0, match.start()) + 1
        end = match.end()
        if match["language"] == "output":
            assert found and not before.strip(), f"{path.name}:{line}: output of which block?"
            found[-1].expected = match["body"]
            continue
        marked = NOT_RUN.search(before)
        where = f"{path.relative_to(ROOT)}:{line}"
        reason = marked["reason"] if marked else ""
        found.append(Block(where, match["language"], match["body"], reason))
    return found


def commands(script: str) -> Iterator[str]:
    """Yield the commands of a script, each with its further lines and its here-document."""
    lines = iter(script.splitlines())
    for line in lines:
        whole = line
        if line.strip() and not line.lstrip().startswith("#"):
            if here := re.search(r"<<'(\w+)'", line):
                while not whole.endswith(f"\n{here[1]}"):
                    whole += f"\n{next(lines)}"
            while not here and _goes_on(whole):
                whole += f"\n{next(lines)}"
            yield whole


def _goes_on(command: str) -> bool:
    try:
        shlex.split(command, comments=True)
    except ValueError:  # a quotation is open
        return True
    return command.endswith("\\")


def is_same(got: str, expected: str) -> bool:
    """Return whether an output is the one stated: blanks at the end of a line do not count."""
    texts = ("\n".join(t.rstrip() for t in text.strip().splitlines()) for text in (expected, got))
    return doctest.OutputChecker().check_output(*texts, doctest.ELLIPSIS)


@dataclass
class Reader:
    """Somebody who types what a guide says, in a folder of their own."""

    folder: Path
    environment: dict[str, str]
    namespaces: dict[str, dict[str, Any]] = field(default_factory=dict)

    @cached_property
    def session(self) -> Lakehouse:
        """The session in which SQL is asked."""
        return Lakehouse(self.folder / "warehouse")

    def read(self, guide: Path) -> None:
        """Run every block of a guide, from the same folder as every other guide."""
        home = self.folder
        try:
            for block in blocks(guide):
                if block.language in RUN and not block.reason:
                    self._run_block(block)
        finally:
            self.folder = home

    def _run_block(self, block: Block) -> None:
        try:
            printed = getattr(self, f"_{block.language}")(block)
        except Exception as error:
            raise AssertionError(f"{block.where}: {error!r}") from error
        if block.expected is not None:
            assert is_same(printed, block.expected), f"{block.where} prints:\n{printed}"

    def _bash(self, block: Block) -> str:
        return "".join(self._run(command) for command in commands(block.body))

    def _console(self, block: Block) -> str:
        for step in re.split(r"^\$ ", block.body, flags=re.MULTILINE)[1:]:
            command, _, expected = step.partition("\n")
            while _goes_on(command):
                more, _, expected = expected.partition("\n")
                command += f"\n{more.removeprefix('> ')}"
            printed = self._run(command)
            assert is_same(printed, expected), f"{command} prints:\n{printed}"
        return ""

    def _python(self, block: Block) -> str:
        guide = block.where.partition(":")[0]
        names = self.namespaces.setdefault(guide, {"__name__": guide})
        with contextlib.redirect_stdout(io.StringIO()) as printed, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pandas and Matplotlib have some about themselves
            exec(compile(block.body, block.where, "exec"), names)
        return printed.getvalue()

    def _sql(self, block: Block) -> str:
        for statement in filter(str.strip, block.body.split(";\n")):
            rows = self.session.sql(statement.rstrip().removesuffix(";"))
            assert rows.fetchone(), "no row"
        return ""

    def _run(self, command: str) -> str:
        if command.startswith("export "):
            for word in shlex.split(command)[1:]:
                name, _, value = word.partition("=")
                self.environment[name] = value.replace("$PWD", str(self.folder))
            return ""
        program, *arguments = shlex.split(command, comments=True)
        if program == "cd":
            self.folder = self.folder / arguments[0]
            return ""
        if program == "pip":  # it is installed, or no guide could be read
            return ""
        if program == "lakehouse" and not {"|", ">", "&&", "||", ";"} & {*arguments}:
            return self._fork(arguments)
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", command],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, f"{command}: {done.stderr[-2000:]}"
        return done.stdout

    def _fork(self, arguments: list[str]) -> str:
        """Run a command in a process that has the imports: 0.1 s, where a new one takes 1."""
        if arguments[0] == "synth" and "--patients" not in arguments:
            arguments = [*arguments, *SMALL]
        output = self.folder / ".printed"
        given = {
            "arguments": arguments,
            "folder": str(self.folder),
            "environment": self.environment,
            "output": str(output),
        }
        script = str(Path(__file__).with_name("guide_command.py"))
        process = fork(runpy.run_path, script, given)
        process.join(300)
        errors = Path(f"{output}.errors").read_text(encoding="utf-8")
        assert process.exitcode == 0, f"lakehouse {shlex.join(arguments)}: {errors}"
        return output.read_text(encoding="utf-8", errors="replace")


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    """Somebody who has worked through README, whose warehouse is there now."""
    folder = tmp_path_factory.mktemp("guides")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("XDG_CONFIG_HOME", str(folder / "config"))
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        patch.setenv("MPLBACKEND", "agg")
        patch.setenv("COLUMNS", "100")
        patch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)
        patch.delenv("LAKEHOUSE_KEY_FILE", raising=False)
        patch.delenv("LAKEHOUSE_WAREHOUSE", raising=False)
        someone = Reader(folder, {**os.environ, "REPOSITORY": str(ROOT)})
        someone.read(README)
        yield someone
        someone.session.close()


@pytest.mark.slow
def test_the_five_minutes_make_what_they_say(reader: Reader) -> None:
    assert (reader.folder / "report.html").exists()
    assert any((reader.folder / "research").rglob("*.dcm"))


@pytest.mark.slow
@pytest.mark.parametrize(
    "guide", [g for g in GUIDES if g != README], ids=lambda p: str(p.relative_to(ROOT))
)
def test_every_block_of_a_guide_runs_as_written(guide: Path, reader: Reader) -> None:
    reader.read(guide)


@pytest.mark.parametrize("guide", GUIDES, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_block_runs_or_says_why_not(guide: Path) -> None:
    for block in blocks(guide):
        assert block.language in RUN | READ, f"{block.where}: {block.language or 'no language'}"
        assert block.language in RUN or not block.reason, f"{block.where}: needs no reason"
        if block.language == "toml":
            tomllib.loads(block.body)


def test_an_output_that_differs_is_found() -> None:
    assert is_same("a  \nb 3 c\n", "a\nb ... c") and not is_same("a\nb\n", "a\n")


def test_commands_keep_their_lines_together() -> None:
    script = "# why\na 'x\ny' b\ncat > f <<'END'\nit's\nEND\nc \\\n  d\n"
    assert list(commands(script)) == ["a 'x\ny' b", "cat > f <<'END'\nit's\nEND", "c \\\n  d"]

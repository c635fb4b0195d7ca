"""How rows and messages look: tables on a terminal, CSV in a pipe, and the other formats."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from lakehouse.errors import UserError

if TYPE_CHECKING:
    from rich.console import Console

    from lakehouse.query.result import Result

SHOWN_ROWS = 50
"""Rows of a table on a terminal, unless ``--rows`` says otherwise."""


WIDEST = 40
"""Most characters of a line of a cell when columns are fitted in; a longer value is folded."""

UPRIGHT = 3
"""Up to so many rows are written one below the other where their columns do not fit."""

BETWEEN = 3
"""Characters between two columns."""


class Format(StrEnum):
    """How rows leave the program."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"
    JSONL = "jsonl"
    MARKDOWN = "markdown"
    ARROW = "arrow"
    PARQUET = "parquet"
    XLSX = "xlsx"


BINARY = {Format.ARROW, Format.PARQUET, Format.XLSX}


def console(*, stderr: bool = False) -> Console:
    """Return a rich console on standard output or error."""
    from rich.console import Console

    return Console(stderr=stderr, highlight=False)


def note(text: str) -> None:
    """Tell the person something that is not the result: on standard error."""
    console(stderr=True).print(text, soft_wrap=True)


def completed(ingests: Iterable[str]) -> None:
    """Tell of ingests that had been cut off and were completed first."""
    for ingest in ingests:
        note(f"Completed the ingest {ingest}, which had been left unfinished.")


@contextmanager
def progress(what: str) -> Iterator[Callable[[int, int], None]]:
    """Show a bar while the block runs, on standard error and only on a terminal.

    Yields:
        A function that is told what is done and the total.
    """
    from rich.progress import Progress

    with Progress(console=console(stderr=True), transient=True) as bar:
        task = bar.add_task(what)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def table(
    columns: Sequence[str],
    rows: Iterable[Sequence[Any]],
    *,
    as_json: bool = False,
    title: str | None = None,
    empty: str = "",
) -> None:
    """Print rows: a table on a terminal, CSV with a header in a pipe, JSON where that is asked for.

    Args:
        columns: Headings; programs get them in lower case, with underscores.
        rows: A value for each column.
        as_json: Print an array of objects, on a terminal as well.
        title: Heading of the whole table, for people only.
        empty: What to tell a person when there are no rows.
    """
    listed = [list(row) for row in rows]
    if not as_json and sys.stdout.isatty():
        if listed:
            _draw(columns, listed, title)
    else:
        names = [column.lower().replace(" ", "_") for column in columns]
        with _pipe() as out:
            if as_json:
                _json((dict(zip(names, row, strict=True)) for row in listed), Format.JSON, out)
            else:
                _csv(names, listed, out)
    if empty and not listed:
        note(empty)


def _draw(columns: Sequence[str], listed: Sequence[Sequence[Any]], title: str | None) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    drawn = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", pad_edge=False)
    for number, column in enumerate(columns):
        values = [row[number] for row in listed]
        right = any(v is not None for v in values) and all(
            v is None or (isinstance(v, (int, float)) and not isinstance(v, bool)) for v in values
        )
        drawn.add_column(Text(column), justify="right" if right else "left", overflow="fold")
    for row in listed:
        drawn.add_row(*(Text("-", "dim") if v is None else Text(text(v)) for v in row))
    console().print(drawn)


def text(value: Any) -> str:
    """Return a value as a person reads it.

    Examples:
        >>> text(None), text(True), text(2.50), text(1234567)
        ('', 'true', '2.5', '1234567')
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:.6g}" if abs(value) < 1e6 else f"{value:.0f}"
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%S")
    if isinstance(value, (list, tuple)):
        return ", ".join(text(v) for v in value)
    return str(value)


def counted(number: int, what: str) -> str:
    """Return a number with its noun.

    Examples:
        >>> counted(1, "file"), counted(12345, "record")
        ('1 file', '12,345 records')
    """
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def write(result: Result, form: Format | None, output: Path | None, rows: int) -> None:
    """Write the rows of a query.

    Args:
        result: The rows.
        form: How; None takes it from the output's ending; without an output a table on a terminal,
            else CSV.
        output: A file; None writes to standard output.
        rows: Most rows of a table; 0 for all.

    Raises:
        UserError: Binary rows would go to a terminal, the output's ending tells no format, or the
            file cannot be written.
    """
    if output is not None:
        form = form or _by_ending(output)
        try:
            if form is Format.XLSX:
                result.to_excel(output)  # opens the file when it is known that all fits in
                return
            with output.open("wb") as file:
                _send(result, form, file, rows)
        except OSError as error:
            raise unwritable(output, error) from None
        return
    form = form or (Format.TABLE if sys.stdout.isatty() else Format.CSV)
    if form in BINARY and sys.stdout.isatty():
        raise UserError(
            f"The format {form} is binary.", "Give --output FILE, or pipe it into a program."
        )
    with _pipe() as out:
        _send(result, form, out, rows)


@contextmanager
def _pipe() -> Iterator[BinaryIO]:
    """Give standard output to the block, for bytes."""
    try:
        sys.stdout.flush()
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        # The reader of the pipe (head, less) has had enough; nothing more goes to it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def unwritable(path: Path, error: OSError) -> UserError:
    """Return the error about a file that cannot be written."""
    return UserError(f"{path} cannot be written ({reason(error)}).", "Name another place.")


def reason(error: OSError) -> str:
    """Return why the operating system refused, in a few words."""
    return os.strerror(error.errno).lower() if error.errno else type(error).__name__


def _by_ending(output: Path) -> Format:
    endings = {"md": Format.MARKDOWN, "ndjson": Format.JSONL}
    endings |= {str(form): form for form in Format if form is not Format.TABLE}
    ending = output.suffix.lstrip(".").lower()
    if ending not in endings:
        raise UserError(
            f"The ending of {output} tells no format.",
            f"End it in one of {', '.join(f'.{e}' for e in endings)}, or give --format.",
        )
    return endings[ending]


def _send(result: Result, form: Format, out: BinaryIO, rows: int) -> None:
    if form is Format.TABLE:
        _table(result, out, rows)
    elif form in (Format.JSON, Format.JSONL):
        _json(_records(result), form, out)
    elif form is Format.MARKDOWN:
        _markdown(result, out)
    elif form is Format.CSV:
        result.to_csv(out)
    elif form is Format.PARQUET:
        result.to_parquet(out)
    elif form is Format.XLSX:
        result.to_excel(out)
    else:
        result.to_arrow(out)
    out.flush()


def _table(result: Result, out: BinaryIO, rows: int) -> None:
    found = result.limit(rows + 1).fetchall() if rows else result.fetchall()
    shown = found[:rows] if rows else found
    if out is not sys.stdout.buffer or not sys.stdout.isatty():
        lines = [result.columns, *([text(v) for v in row] for row in shown)]
        widths = [max(len(line[i]) for line in lines) for i in range(len(result.columns))]
        for line in lines:
            padded = "  ".join(v.ljust(w) for v, w in zip(line, widths, strict=True))
            out.write(padded.rstrip().encode() + b"\n")
    else:
        _grid(result.columns, shown)
    if len(found) > len(shown):
        note(f"[dim]The first {rows} rows; --rows 0 shows all.[/dim]")
    elif sys.stdout.isatty():
        note(f"[dim]{len(shown)} {'row' if len(shown) == 1 else 'rows'}[/dim]")


def _grid(columns: list[str], rows: Sequence[Sequence[Any]]) -> None:
    """Draw the rows of a query as wide as the terminal is, readable at any width.

    Where not every column fits, a few rows are written one below the other, and of many rows the
    columns in the middle are left out and counted, as DuckDB's own shell does.
    """
    widths = [
        min(WIDEST, max(len(name), *(len(text(row[i])) for row in rows), 1))
        for i, name in enumerate(columns)
    ]
    shown = _fitting(widths, console().width)
    if len(shown) == len(columns):
        _draw(columns, rows, None)
    elif len(rows) <= UPRIGHT:
        for number, row in enumerate(rows, 1):
            _draw(("column", f"row {number}"), list(zip(columns, row, strict=True)), None)
    else:
        half = len(shown) // 2 + len(shown) % 2

        def elided(line: Sequence[Any]) -> list[Any]:
            kept = [line[i] for i in shown]
            return [*kept[:half], "…", *kept[half:]]

        _draw(elided(columns), list(map(elided, rows)), None)
        note(
            f"[dim]{len(shown)} of {len(columns)} columns fit here; name the columns you want, "
            "or --output FILE.[/dim]"
        )


def _fitting(widths: list[int], room: int) -> list[int]:
    """Return which columns fit, from both ends inwards; all of them, or the rest beside a mark.

    Examples:
        >>> _fitting([5, 5, 5], 21), _fitting([9, 9, 9, 9], 34), _fitting([50], 10)
        ([0, 1, 2], [0, 3], [0])
    """
    if sum(widths) + BETWEEN * (len(widths) - 1) <= room:
        return list(range(len(widths)))
    inwards = [n // 2 if n % 2 == 0 else len(widths) - 1 - n // 2 for n in range(len(widths))]
    shown: list[int] = []
    left = room - 1
    for i in inwards:
        left -= widths[i] + BETWEEN
        if left < 0 and shown:
            break
        shown.append(i)
    return sorted(shown)


def _records(result: Result) -> Iterator[dict[str, Any]]:
    for batch in result.batches():
        yield from batch.to_pylist()


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, (date, datetime)) else str(value)


def _csv(names: Sequence[str], rows: Iterable[Sequence[Any]], out: BinaryIO) -> None:
    lines = io.StringIO(newline="")
    writer = csv.writer(lines, lineterminator="\n")
    writer.writerow(names)
    writer.writerows([_field(value) for value in row] for row in rows)
    out.write(lines.getvalue().encode())


def _field(value: Any) -> str:
    """Return a value as it stands in CSV: like that of ``text``, with every digit."""
    if isinstance(value, float):
        return repr(value)
    return _plain(value) if isinstance(value, datetime) else text(value)


def _json(records: Iterable[dict[str, Any]], form: Format, out: BinaryIO) -> None:
    between, last = (b",\n", b"\n]\n") if form is Format.JSON else (b"\n", b"")
    first = b"[\n" if form is Format.JSON else b""
    out.write(first)
    wrote = False
    for record in records:
        record = {name: _finite(value) for name, value in record.items()}
        out.write(between if wrote else b"")
        out.write(json.dumps(record, default=_plain, ensure_ascii=False).encode())
        wrote = True
    out.write(last if form is Format.JSON else b"\n" if wrote else b"")


def _markdown(result: Result, out: BinaryIO) -> None:
    def line(values: Iterable[str]) -> bytes:
        return ("| " + " | ".join(v.replace("|", "\\|") for v in values) + " |\n").encode()

    out.write(line(result.columns))
    out.write(line("---" for _ in result.columns))
    for row in result.fetchall():
        out.write(line(text(v) for v in row))

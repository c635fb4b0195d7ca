"""The command line: each command is one call of the API. ``main`` turns errors into one line.

Commands are found by looking into this folder: every module registers its own with ``app``.

Exit codes: 0 done, 1 our fault (run it again, or report it), 2 the user's, 3 nothing of an input
is of a known format, 130 interrupted.
"""

from __future__ import annotations

import os
import pkgutil
import sys
import traceback
from importlib import import_module
from pathlib import Path

import typer
from typer.exceptions import Abort, Exit, TyperException

from lakehouse.cli.app import app
from lakehouse.errors import LakehouseError

__all__ = ["app", "main", "run"]

INTERRUPTED = 130

for _module in sorted(m.name for m in pkgutil.iter_modules(__path__)):
    if not _module.startswith("_"):
        import_module(f"{__name__}.{_module}")


def main() -> None:
    """Run the command line and leave with its exit code."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command and return its exit code; errors go to standard error, one line each.

    Args:
        arguments: Without the program's name.
    """
    try:
        command = typer.main.get_command(app)
        code = command.main(args=arguments, prog_name="lakehouse", standalone_mode=False)
    except LakehouseError as error:
        return complain(str(error), error.exit_code)
    except Exit as error:
        return int(error.exit_code)
    except (KeyboardInterrupt, Abort):
        return complain("interrupted", INTERRUPTED)
    except TyperException as error:
        # Without any argument the help has been printed, and there is nothing to complain of.
        return 2 if str(error) == "" else complain(_usage(error), 2)
    except Exception as error:
        return complain(_unexpected(error), 1)
    if code == INTERRUPTED:  # typer has caught Ctrl-C itself
        return complain("interrupted", INTERRUPTED)
    return code if isinstance(code, int) else 0


def complain(text: str, code: int) -> int:
    """Print one line to standard error and return the exit code."""
    sys.stderr.write(f"lakehouse: {' '.join(text.split())}\n")
    return code


def _usage(error: TyperException) -> str:
    text = getattr(error, "format_message", lambda: str(error))()
    context = getattr(error, "ctx", None)
    ended = text if text.endswith((".", "?", "!")) else f"{text}."
    return f"{ended} See: {context.command_path if context else 'lakehouse'} --help"


def _unexpected(error: Exception) -> str:
    """Say where it happened. The error's own text may quote the data, so it is left out."""
    home = str(Path(__file__).parents[1])
    frames = traceback.extract_tb(error.__traceback__)
    ours = [f for f in frames if f.filename.startswith(home)] or frames
    place = f"{Path(ours[-1].filename).name}:{ours[-1].lineno}" if ours else "?"
    if os.environ.get("LAKEHOUSE_DEBUG"):
        sys.stderr.write("".join(traceback.format_list(frames)))
    return (
        f"unexpected {type(error).__name__} at {place}; this is a fault of the software. "
        "Set LAKEHOUSE_DEBUG=1 to see the call stack (it holds no data) and report it."
    )

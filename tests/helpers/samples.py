"""Where the public sample files lie."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).parents[2]


def public_samples() -> Path:
    """Return their folder, which may be absent: they are not part of this repository."""
    default = ROOT.parent / "shared" / "data"
    return Path(os.environ.get("LAKEHOUSE_SAMPLE_DATA", default))

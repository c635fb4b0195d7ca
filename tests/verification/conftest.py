"""Lets the tests of verify import the canary corpus by name."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

"""Lets the tests of export import the objects that they share by name."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

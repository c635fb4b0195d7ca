"""Validation: rules over a raw batch divide it into good rows and rejects."""

from lakehouse.quality.rules import Rule, found_rules, load_rules
from lakehouse.quality.validate import validate

__all__ = ["Rule", "found_rules", "load_rules", "validate"]

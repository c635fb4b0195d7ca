"""Validation: conformance rules divide a raw batch into good rows and rejects."""

from lakehouse.quality.rules import Rule, format_rules, load_rules
from lakehouse.quality.validate import validate

__all__ = ["Rule", "format_rules", "load_rules", "validate"]

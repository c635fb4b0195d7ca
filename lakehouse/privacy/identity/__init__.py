"""Pseudonyms, date offsets and ages of patients."""

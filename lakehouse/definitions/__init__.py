"""Reads what ``catalog/`` defines: tables, code systems, CSV and TOML files."""

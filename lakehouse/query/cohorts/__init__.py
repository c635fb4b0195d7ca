"""Cohorts: built from criteria, saved by name and repeated."""

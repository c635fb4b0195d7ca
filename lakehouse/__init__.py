"""A SQL-queryable lakehouse for clinical data."""

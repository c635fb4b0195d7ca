"""The one language of mapping files: which place of a format feeds which column of a table."""

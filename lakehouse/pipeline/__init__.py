"""What happens to a file: ``ingest`` is the table of contents of the whole way."""

"""The pipeline from input files to committed tables; ``ingest`` shows the whole way."""

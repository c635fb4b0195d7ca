"""Work on one table: commits with retry, compaction, scans of data files, clean-up."""

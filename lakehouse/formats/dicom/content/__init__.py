"""Content trees: structured reports, dose reports, radiotherapy objects."""

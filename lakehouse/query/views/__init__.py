"""The library of SQL views: their files, documentation, column lineage and dialects."""

"""The library of SQL views: from a file to a view, its documentation, lineage and dialects."""

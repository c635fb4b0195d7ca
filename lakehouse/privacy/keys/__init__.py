"""The secret of a warehouse, where it lies, and keyed digests made with it."""

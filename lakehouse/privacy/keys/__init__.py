"""The secret key of a warehouse, its file, and keyed digests."""

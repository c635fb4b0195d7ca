"""Bytes: files on a disk or in an object store, data files, locks and durable writes."""

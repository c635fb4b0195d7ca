"""Bytes on a disk or in an object store: files, data files, locks and durable writes."""

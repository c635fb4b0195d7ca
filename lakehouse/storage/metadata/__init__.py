"""Metadata of a warehouse: settings, catalogs, schemas, snapshots, version hints."""

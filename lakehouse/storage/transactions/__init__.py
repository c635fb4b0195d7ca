"""Commits to all tables or none: journal, claims, leases and the ledger of ingests."""

"""All tables or none: journal, claims, leases and the ledger of what was ingested."""

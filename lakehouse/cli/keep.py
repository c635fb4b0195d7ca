"""Commands that keep a warehouse: verify, forget, maintain, release."""

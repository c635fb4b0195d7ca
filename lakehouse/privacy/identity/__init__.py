"""The identity of patients: pseudonyms, date offsets and ages."""

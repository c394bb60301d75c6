"""The outbox: one row per backend and contact, drained by a worker."""

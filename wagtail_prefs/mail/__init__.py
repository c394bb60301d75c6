"""Mail of our own: rows that a commit leaves, sent by the worker."""

"""The append-only chain of submissions, one chain per contact."""

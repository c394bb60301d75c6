"""The page editors compose, and the snapshots it is compiled to."""

"""Answers become changes, and changes one transaction: state, ledger record and deliveries together."""

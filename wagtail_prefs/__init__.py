"""Preference centers for Wagtail: composed by editors, trusted by visitors, with choices that arrive."""

__version__ = "0.1.0"

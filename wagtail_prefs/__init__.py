"""Preference centers for Wagtail: composed by editors, trusted by visitors, obeyed by every sender."""

__version__ = "0.1.0"

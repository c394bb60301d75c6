"""The documentation is tried with the wheel, as its readers have it."""

from tests.package.conftest import sdist, wheel

__all__ = ["sdist", "wheel"]

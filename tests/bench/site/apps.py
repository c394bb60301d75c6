"""The Django app of the bench: one form page."""

from __future__ import annotations

from django.apps import AppConfig


class BenchConfig(AppConfig):
    name = "tests.bench.site"
    label = "bench"

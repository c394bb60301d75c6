"""`.venv/bin/python example_site/manage.py ...`, from any folder."""

from __future__ import annotations

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    # Python puts this file's folder first, where `home` and `settings` would be importable under a second name.
    sys.path[0] = str(ROOT)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "example_site.settings")
    from django.core.management import execute_from_command_line  # noqa: PLC0415 - after the path is right

    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()

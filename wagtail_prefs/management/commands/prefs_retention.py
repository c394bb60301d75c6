"""What is over, rule by rule; and forgetting it."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from ...rights import retention


class Command(BaseCommand):
    """A dry run by default. It may be stopped and run again: each rule forgets in small steps."""

    help = (
        "Says what is over by the rules of RETENTION and by those that hold anyway; --apply forgets it. The worker does the "
        "same once a day. Exit codes: 0 done, 1 something is left or could not be done."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--apply", action="store_true", help="Forget it. This cannot be taken back.")
        parser.add_argument("--json", action="store_true", help="Print one JSON object at the end.")

    def handle(self, *args: Any, **options: Any) -> None:
        labels = {rule.key: str(rule.label) for rule in retention.RULES}

        def say(key: str, entry: dict[str, object]) -> None:
            if not options["json"]:
                did = f", {entry['forgotten']:,} forgotten" if options["apply"] else ""
                problem = f" - {entry['problem']}" if "problem" in entry else ""
                self.stdout.write(f"{key}: {entry['found']:,} over{did} ({labels[key]}){problem}")

        made = retention.run("prefs_retention", apply=options["apply"], on_rule=say)
        if options["json"]:
            self.stdout.write(json.dumps({"dry": made.dry, "report": made.report}, indent=2))
        if made.dry:
            self.stderr.write("Nothing was forgotten: this was a dry run. --apply does it.")
        failed = any("problem" in entry for entry in made.report.values())
        if failed or (options["apply"] and retention.is_left(made)):
            raise SystemExit(1)

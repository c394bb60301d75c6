"""The doctor: whether all that must be so for a preference to arrive is so, and what to do where it is not."""

from __future__ import annotations

import json
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError, CommandParser

from ...conf import conf
from .. import doctor
from ..doctor import BAD, NOTE, OK, WARN, Finding

SOMETHING_FOUND, WRONG_USE = 1, 2


class Command(BaseCommand):
    """Reads only; talks to the platforms and to the mail server."""

    help = (
        "Looks at settings, keys, backends - each is asked, with the credentials it has -, workers, queues, the ledger's "
        "guard, tasks and the mail server, and says what to do. Sends and changes nothing. Names no secret and no person. "
        "Exit code: 0 all is well, 1 something was found, 2 wrong arguments."
    )
    # What is wrong with the settings is for us to say, beside everything else.
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--backend",
            action="append",
            metavar="ALIAS",
            help="Only what concerns this backend; can be repeated.",
        )
        parser.add_argument(
            "--fail-level",
            choices=[WARN, BAD],
            default=WARN,
            help="From which level on the exit code is 1 (default: warning).",
        )
        parser.add_argument("--json", action="store_true", help="Print one JSON object.")

    def handle(self, *args: Any, **options: Any) -> None:
        asked = self._aliases(options["backend"])
        findings: list[Finding] = []
        for finding in doctor.examine(asked):
            findings.append(finding)
            if not options["json"]:
                self._say(finding)
        worst = doctor.worst(findings)
        failed = worst == BAD or (worst == WARN and options["fail_level"] == WARN)
        if options["json"]:
            said = {
                "healthy": not failed,
                "worst": worst,
                "findings": [finding.to_json() for finding in findings],
            }
            self.stdout.write(json.dumps(said, indent=2))
        else:
            self._summary(findings)
        if failed:
            raise SystemExit(SOMETHING_FOUND)

    def _aliases(self, asked: list[str] | None) -> list[str] | None:
        if not asked:
            return None
        try:
            configured = sorted(conf.backends)
        except (ImproperlyConfigured, TypeError) as problem:
            raise CommandError(
                "The settings cannot be read: run it without --backend.", returncode=WRONG_USE
            ) from problem
        if unknown := sorted(set(asked) - set(configured)):
            known = ", ".join(configured) or "none"
            raise CommandError(f"No backend {', '.join(unknown)}. Configured: {known}.", returncode=WRONG_USE)
        return sorted(set(asked))

    def _say(self, finding: Finding) -> None:
        style = {
            OK: self.style.SUCCESS,
            NOTE: self.style.NOTICE,
            WARN: self.style.WARNING,
            BAD: self.style.ERROR,
        }[finding.level]
        code = f" ({finding.id})" if finding.id else ""
        self.stdout.write(f"{style(f'{finding.level:8}')} {finding.area}: {finding.text}{code}")
        if finding.hint:
            self.stdout.write(f"{'':8}   {finding.hint}")
        self.stdout.flush()

    def _summary(self, findings: list[Finding]) -> None:
        errors = sum(finding.level == BAD for finding in findings)
        warnings = sum(finding.level == WARN for finding in findings)
        self.stdout.write(f"{errors} errors, {warnings} warnings" if errors or warnings else "All is well.")

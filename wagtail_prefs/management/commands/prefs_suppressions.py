"""Whom not to write to, as a file: for platforms that take lists."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError, CommandParser
from wagtail.log_actions import log

from ...decisions import suppressions
from ...decisions.suppressions import Cut, File, FullFileNeeded, NoFile, Question
from ...topics.models import Audience
from ..audiences import audience_of
from ..files import out_to, stopped_by_signals

#: Contacts between two lines that say how far it is.
EVERY = 100_000


class Command(BaseCommand):
    """Streams: as much memory for a million people as for a thousand."""

    help = (
        "Writes everybody whom a message of a topic must not go to on a channel, by our own rules. It may be stopped "
        "(SIGTERM, Ctrl-C): what was written ends with a whole row, and it says how to go on. The last row says that the "
        "file is whole. Exit code: 0 when it is through, 1 when it was stopped, 2 for arguments that cannot be used, 3 "
        "where rules have changed and a file without --since is needed."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--topic", required=True, metavar="KEY", help="What the messages are about.")
        parser.add_argument("--channel", default="email", help="How they come (default: email).")
        parser.add_argument(
            "--audience", metavar="KEY", help="Whose contacts; needed where there is more than one."
        )
        parser.add_argument(
            "--since", default="", help="Only who may have changed since a file: what that one said is next."
        )
        parser.add_argument("--paused", action="store_true", help="Also whose pause holds, with its end.")
        parser.add_argument("--format", choices=suppressions.FORMATS, default="csv", help="Default: csv.")
        parser.add_argument(
            "--output", type=Path, metavar="FILE", help="Where to write; without, to standard output."
        )
        parser.add_argument(
            "--after", type=UUID, metavar="ID", help="Go on behind this contact; a file is appended to then."
        )
        parser.add_argument(
            "--with-address",
            action="store_true",
            help="With addresses, for lists of suppressions that know people by nothing else, and for no other end.",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        audience = audience_of(options["audience"])
        asked = self._question(audience, options)
        after: UUID | None = options["after"]
        following = asked.next_since()
        file = File(asked, options["format"], after=after, address=options["with_address"])
        stopped, began, said = threading.Event(), time.monotonic(), 0
        with (
            stopped_by_signals(stopped),
            out_to(options["output"], self.stdout, goes_on=after is not None) as out,
        ):
            # Before the first row, so that no way of stopping it hides that it was done.
            data = {
                "topic": asked.topic.key,
                "channel": asked.channel,
                "with_address": options["with_address"],
            }
            log(audience, suppressions.FETCHED, data=data)
            # A database that stops in between is in the log; what was written ends without its last line, and can be gone
            # on with.
            with suppress(Cut):
                for piece in file:
                    out.write(piece.decode())
                    out.flush()
                    if file.rows - said >= EVERY:
                        said = file.rows
                        self._tell(f"{said} rows, {said / (time.monotonic() - began):.0f} a second")
                    if stopped.is_set() and not file.is_whole:
                        break
        file.close()
        if not file.is_whole:
            self._tell(f"stopped after {file.rows} rows; to go on: --after {file.last or UUID(int=0)}")
            if after is None:
                self._tell(f"when all of it is there, next: --since {following}")
            raise SystemExit(1)
        if after is None:
            self._tell(f"{file.rows} rows; next: --since {following}")
        else:  # what changed since the first part was begun may be in none of this
            self._tell(f"{file.rows} rows; next: the --since that the first part gave")
        self._tell(f"not held: {', '.join(asked.not_held) or 'none'}")

    def _question(self, audience: Audience, options: dict[str, Any]) -> Question:
        try:
            return suppressions.question(
                audience.pk,
                options["topic"],
                options["channel"],
                paused=options["paused"],
                since=options["since"],
            )
        except NoFile as problem:
            code = 3 if isinstance(problem, FullFileNeeded) else 2
            raise CommandError(f"--{problem.field}: {problem.text}", returncode=code) from problem

    def _tell(self, text: str) -> None:
        self.stderr.write(text)
        self.stderr.flush()

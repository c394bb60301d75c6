"""Links of everybody, for the merge fields of a platform that sends."""

from __future__ import annotations

import csv
import io
import json
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Protocol
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError, CommandParser
from wagtail.log_actions import log

from ...access import bulk
from ...access.bulk import Links
from ...cells import safe
from ...centers import services as centers
from ...errors import NotPublished
from ...topics.models import Audience
from ..files import out_to, stopped_by_signals

#: Rows between two lines that say how far it is.
EVERY = 20_000


class Command(BaseCommand):
    """Streams: as much memory for a million people as for a thousand."""

    help = (
        "Writes links for everybody of a center's audience: to her choices, and out of them. It may be stopped (SIGTERM, "
        "Ctrl-C): what was written ends with a whole row, and it says how to go on. Whoever holds such a file can open "
        "the pages in it: a new file is readable for its owner alone. Exit code: 0 when it is through, 1 when it was "
        "stopped, 2 for arguments that cannot be used."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--center", type=_uuid, required=True, help="The id of a published center.")
        parser.add_argument(
            "--topic", default="", metavar="KEY", help="What the way out is about; without, everything."
        )
        parser.add_argument("--channel", default="", help="The channel of the topic (default: email).")
        parser.add_argument(
            "--host",
            type=int,
            metavar="NUMBER",
            help="The center's host page to lead to; the first is 0. Without, its own.",
        )
        parser.add_argument("--format", choices=("csv", "ndjson"), default="csv", help="Default: csv.")
        parser.add_argument(
            "--output", type=Path, metavar="FILE", help="Where to write; without, to standard output."
        )
        parser.add_argument(
            "--after", type=_uuid, metavar="ID", help="Go on behind this person; a file is appended to then."
        )
        parser.add_argument(
            "--with-address",
            action="store_true",
            help="With addresses, for a platform that knows no ids; whoever opted out of everything is left out then.",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        audience, maker = self._maker(options)
        after: UUID | None = options["after"]
        rows = _CSV if options["format"] == "csv" else _NDJSON
        with_address: bool = options["with_address"]
        stopped = threading.Event()
        written, said, began = 0, 0, time.monotonic()
        with (
            stopped_by_signals(stopped),
            out_to(options["output"], self.stdout, goes_on=after is not None) as out,
        ):
            # Before the first row, so that no way of stopping it hides that it was done.
            log(audience, bulk.MADE, data={"center": str(options["center"]), "with_address": with_address})
            head = "" if after is not None else rows.head(with_address)
            if head:  # Django's standard output makes an empty line of nothing
                out.write(head)
            for batch in maker.stream(after=after, mailable=with_address):
                out.write(rows.lines(batch, with_address))
                out.flush()
                after, written = batch[-1].contact, written + len(batch)
                if written - said >= EVERY:
                    said = written
                    self._tell(f"{written} people, {written / (time.monotonic() - began):.0f} a second")
                if stopped.is_set():
                    break
        if stopped.is_set():
            self._tell(f"stopped after {written} people; to go on: --after {after}" if after else "stopped")
            raise SystemExit(1)
        self._tell(f"{written} people")

    def _maker(self, options: dict[str, Any]) -> tuple[Audience, bulk.Maker]:
        center, host, topic = options["center"], options["host"], options["topic"]
        channel = options["channel"] or ("email" if topic else "")
        try:
            found = centers.current(center)
        except NotPublished as problem:
            raise CommandError("There is no published center of this id.", returncode=2) from problem
        if host is not None and not 0 <= host < len(found.host_pages):
            pages = ", ".join(f"{number} {url}" for number, url in enumerate(found.host_pages)) or "none"
            raise CommandError(f"--host is none of the center's host pages: {pages}.", returncode=2)
        audience = Audience.objects.get(pk=found.audience_id)
        if name := bulk.problem_with(audience, topic, channel):
            raise CommandError(
                f"--{name}: there is nothing to unsubscribe from. Name a topic that people can leave, and a channel "
                "that it comes by.",
                returncode=2,
            )
        return audience, bulk.Maker(audience.pk, center, topic=topic, channel=channel, host=host)

    def _tell(self, text: str) -> None:
        self.stderr.write(text)
        self.stderr.flush()


class _Rows(Protocol):
    """One way to write rows."""

    def head(self, with_address: bool) -> str: ...
    def lines(self, batch: Iterable[Links], with_address: bool) -> str: ...


class _Csv:
    """UTF-8 as in RFC 4180; no cell is a formula."""

    def head(self, with_address: bool) -> str:
        return _csv([_names(with_address)])

    def lines(self, batch: Iterable[Links], with_address: bool) -> str:
        return _csv([safe(value) for value in _values(links, with_address)] for links in batch)


class _Ndjson:
    """One JSON object a line."""

    def head(self, with_address: bool) -> str:
        return ""

    def lines(self, batch: Iterable[Links], with_address: bool) -> str:
        names = _names(with_address)
        return "".join(
            f"{json.dumps(dict(zip(names, _values(links, with_address), strict=True)))}\n" for links in batch
        )


_CSV, _NDJSON = _Csv(), _Ndjson()


def _names(with_address: bool) -> list[str]:
    return ["id", "external_id", *(["email"] if with_address else []), "manage", "unsubscribe"]


def _values(links: Links, with_address: bool) -> list[str]:
    address = [links.email] if with_address else []
    return [str(links.contact), links.external_id, *address, links.manage, links.unsubscribe]


def _csv(rows: Iterable[Iterable[Any]]) -> str:
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    return text.getvalue()


def _uuid(text: str) -> UUID:
    return UUID(text)

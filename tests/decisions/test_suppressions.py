"""Files of whom not to write to: what stands in one is who `decide` refuses by our own rules, no more and no less."""

from __future__ import annotations

import csv
import io
import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import time_machine
from django.db import connection, transaction
from django.test import override_settings
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, event, given, settings as hypothesis_settings, strategies as st

from tests import factories
from tests.api.client import Program, make_key
from tests.properties import examples
from wagtail_prefs import decide
from wagtail_prefs.cells import safe
from wagtail_prefs.changes import Change, ChangeAddress, OptIn, OptOut, Pause, Resume, SetAttribute, SetChoice
from wagtail_prefs.contacts import services as contacts
from wagtail_prefs.contacts.models import Contact, State
from wagtail_prefs.decisions import suppressions
from wagtail_prefs.decisions.suppressed import Format
from wagtail_prefs.decisions.suppressions import File, FullFileNeeded, NoFile, question
from wagtail_prefs.errors import PrefsError
from wagtail_prefs.submissions import services as submissions
from wagtail_prefs.topics.models import Audience, Topic
from wagtail_prefs.values import PENDING, SUBSCRIBED, UNSUBSCRIBED, Actor, ActorType, Source

from .cases import World, cases, law_files
from .conftest import NOW

Row = dict[str, Any]


def read(content: bytes, form: Format, *, head: bool = True) -> list[Row]:
    """The rows of a whole file; fails for one that was cut."""
    if form == "ndjson":
        *rows, end = [json.loads(line) for line in content.decode().split("\n")[:-1]]
        assert end == {"end": True, "rows": len(rows)}
        return rows
    *lines, last = list(csv.reader(io.StringIO(content.decode(), newline="")))
    names = lines.pop(0) if head else ["contact", "external_id", "reason", "until"]
    assert last == ["#end", str(len(lines)), *[""] * (len(names) - 2)]
    rows = [dict(zip(names, line, strict=True)) for line in lines]
    for row in rows:
        row["until"] = row["until"] or None
        if "suppressed" in row:
            row["suppressed"] = {"true": True, "false": False}[row["suppressed"]]
    return rows


def fetch(
    audience: Audience,
    topic: str,
    channel: str,
    form: Format = "ndjson",
    *,
    after: UUID | None = None,
    **asked: Any,
) -> list[Row]:
    found = question(audience.pk, topic, channel, **asked)
    return read(b"".join(File(found, form, after=after)), form, head=after is None)


@pytest.fixture(scope="module")
def laws(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    return law_files(tmp_path_factory.mktemp("laws"))


@pytest.mark.django_db
def test_the_file_holds_whom_the_table_of_cases_refuses(
    settings: Any, laws: Mapping[str, Path], tell: Callable[[str], None]
) -> None:
    """The table is written by hand: whom it refuses by a rule of ours stands in the file, and nobody else does."""
    usual = dict(settings.WAGTAIL_PREFS)
    lines = [case for case in cases() if not case.message and not case.site.rules]
    world = World(lines)
    together = defaultdict(list)
    for case in lines:
        together[case.site, case.question].append(case)
    seen = Counter[str]()
    for (site, asked), of in together.items():
        settings.WAGTAIL_PREFS = {**usual, **site.prefs(laws)}
        for audience in world.audiences.values():
            here = [case for case in of if world.audiences[case.given.audience] == audience]
            try:
                rows = fetch(audience, asked.topic, asked.channel, at=asked.at)
            except NoFile:
                assert {case.reason for case in here} <= {
                    "unknown", "erased", "merged", "unknown_topic", "archived", "not_offered"
                }  # fmt: skip
                continue
            reasons = {row["contact"]: row["reason"] for row in rows}
            for case in here:
                refused = case.verdict == "refuse" and case.reason != "unknown"
                assert reasons.get(str(world.contacts[case.line])) == (case.reason if refused else None), case
                seen[case.reason] += 1
    tell(f"suppressions: {sum(seen.values())} cases of the table, {len(together)} files")
    for reason in (
        "erased", "merged", "dead_address", "transactional", "suppressed", "opted_out", "channel_refused",
        "expired", "unsubscribed", "pending", "no_consent", "paused", "frequency", "quiet_hours", "subscribed",
    ):  # fmt: skip
        assert seen[reason], reason


#: Known and unknown, in capitals and not, regions with rules of their own and without, and what only looks like one.
COUNTRIES = [
    "",
    "DE",
    "US",
    "US-CA",
    "us ",
    "CA",
    "CA-QC",
    "gb",
    "QQ",
    "\tFR",
    "f\u0131",
    "US-ZZZ",
    "JP",
    "-",
    "RU-1",
]
NAMES = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12
) | st.sampled_from(
    ["", "", "crm-", "=1+1", "@x", "a,b", 'a"b', "\u2028", " -1", "a\r\nb", "\u202e=", "a b", "é"]
)


@st.composite
def people(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Anything that can stand in a database about a few contacts; moments are minutes from the question's."""
    minutes = st.sampled_from([-1, 0, 1]) | st.integers(-5000, 5000)
    row = st.fixed_dictionaries(
        {},
        optional={
            "choice": st.sampled_from(["", SUBSCRIBED, UNSUBSCRIBED]),
            "pending": st.booleans(),
            "choice_until": minutes,
            "paused_until": minutes,
        },
    )
    keys = st.sampled_from(
        [
            ("", ""),
            ("", "email"),
            ("news", ""),
            ("news", "email"),
            ("news", "email"),
            ("news", "sms"),
            ("offers", "email"),
        ]
    )
    flag = st.sampled_from([False, False, False, False, True])
    person = st.fixed_dictionaries(
        {
            "elsewhere": flag,
            "country": st.sampled_from(COUNTRIES),
            "external_id": NAMES,
            "suppressed": flag,
            "dead": flag,
            "erased": flag,
            "merged": flag,
            "rows": st.dictionaries(keys, row, max_size=4),
        }
    )
    return draw(st.lists(person, min_size=1, max_size=5))


@contextmanager
def undone() -> Iterator[None]:
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


def settle(audiences: list[Audience], given: list[dict[str, Any]], at: datetime) -> list[Contact]:
    winner = Contact.objects.create(audience=audiences[0])
    made = Contact.objects.bulk_create(
        Contact(
            audience=audiences[one["elsewhere"]],
            country=one["country"],
            external_id=one["external_id"] and f"{one['external_id']}{number}",
            suppressed=one["suppressed"],
            email_dead_at=at if one["dead"] else None,
            erased_at=at if one["erased"] else None,
            merged_into=winner if one["merged"] else None,
        )
        for number, one in enumerate(given)
    )
    State.objects.bulk_create(
        State(
            contact=contact,
            topic=topic,
            channel=channel,
            **{
                name: at + timedelta(minutes=value) if name.endswith("_until") else value
                for name, value in row.items()
                if (topic, channel) != ("news", "")
                or name == "paused_until"  # a topic as such is nobody's choice
            },
        )
        for contact, one in zip(made, given, strict=True)
        for (topic, channel), row in one["rows"].items()
    )
    return made


@pytest.mark.django_db
@pytest.mark.property
@hypothesis_settings(examples(40), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    people(),
    st.sampled_from(["email", "sms"]),
    st.sampled_from(Topic.Basis.values),
    st.sampled_from([False, False, False, True]),
    st.sampled_from(["opt_in", "opt_in_soft", "opt_out"]),
    st.booleans(),
    st.integers(1, 3),
)
def test_the_file_holds_whom_decide_refuses(
    settings: Any,
    laws: Mapping[str, Path],
    given: list[dict[str, Any]],
    channel: str,
    basis: str,
    transactional: bool,
    law: str,
    paused: bool,
    piece: int,
) -> None:
    usual = settings.WAGTAIL_PREFS
    prefs = {**usual, "JURISDICTIONS": str(laws[law])}
    with undone(), pytest.MonkeyPatch.context() as patch, override_settings(WAGTAIL_PREFS=prefs):
        patch.setattr(suppressions, "PIECE", piece)
        audiences = [Audience.objects.create(key=key, name=key) for key in ("file", "elsewhere")]
        Topic.objects.bulk_create(
            Topic(
                audience=audience,
                key="news",
                channels=["email", "sms"],
                basis=basis,
                transactional=transactional,
            )
            for audience in audiences
        )
        made = settle(audiences, given, NOW)
        for audience in audiences:
            hers = sorted(Contact.objects.filter(audience=audience), key=lambda contact: str(contact.pk))
            expected = []
            for contact, answer in zip(
                hers, decide([one.pk for one in hers], "news", channel, at=NOW), strict=True
            ):
                event(answer.reason)
                if answer.verdict == "refuse" or (paused and answer.reason == "paused"):
                    until = answer.until and answer.until.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
                    expected.append((str(contact.pk), contact.external_id, answer.reason, until))
            for form, name in (("ndjson", str), ("csv", safe)):
                rows = fetch(audience, "news", channel, form, paused=paused, at=NOW)  # type: ignore[arg-type] # two texts of a tuple
                found = [(row["contact"], row["external_id"], row["reason"], row["until"]) for row in rows]
                assert found == [(who, name(known), reason, until) for who, known, reason, until in expected]
            if expected:
                cut = made[0].pk
                rest = fetch(audience, "news", channel, after=cut, paused=paused, at=NOW)
                assert [row["contact"] for row in rest] == [who for who, *_ in expected if who > str(cut)]


# --- what changed ----------------------------------------------------------------------------------------------------

HER, PAGE = Actor(ActorType.SUBJECT_LINK), Source(method="page")
OURS = Actor(ActorType.SYSTEM, "test")


class List:
    """What a platform has: a list, which a full file replaces and a file of changes brings up to date."""

    def __init__(self, audience: Audience, channel: str, paused: bool, form: Format) -> None:
        self.asked = audience.pk, "news", channel
        self.paused = paused
        self.form: Format = form
        self.rows: dict[str, Any] = {}
        self.since = ""

    def fetch(self, since: str) -> list[Row]:
        asked = question(*self.asked, paused=self.paused, since=since)
        following = asked.next_since()
        rows = read(b"".join(File(asked, self.form)), self.form)
        self.since = following
        return rows

    def full(self) -> dict[str, Any]:
        kept = self.since
        rows = {row["contact"]: row for row in self.fetch("")}
        self.since = kept or self.since
        return rows

    def bring_up_to_date(self) -> bool:
        """Whether a file of changes was enough."""
        if not self.since:
            self.rows = self.full()
            return False
        try:
            changes = self.fetch(self.since)
        except FullFileNeeded:
            self.since = ""
            return self.bring_up_to_date()
        for row in changes:
            self.rows.pop(row["contact"], None)
            if row.pop("suppressed"):
                self.rows[row["contact"]] = row
        return True


HOURS = st.integers(1, 200).map(lambda hours: timedelta(hours=hours))
DEEDS = st.one_of(
    st.tuples(st.just("choose"), st.sampled_from([SUBSCRIBED, UNSUBSCRIBED, PENDING]), HOURS),
    st.tuples(st.just("pause"), st.sampled_from([("", ""), ("", "email"), ("news", "")]), HOURS),
    st.tuples(
        st.sampled_from(
            [
                "opt_out",
                "opt_in",
                "resume",
                "erase",
                "merge",
                "move",
                "die",
                "name",
                "come",
                "live",
                "leave_channel",
            ]
        ),
        st.none(),
        st.none(),
    ),
    st.tuples(st.just("rules"), st.sampled_from(Topic.Basis.values), st.none()),
    st.tuples(st.just("wait"), st.none(), HOURS),
    st.tuples(st.just("look"), st.none(), st.none()),
)


class Life:
    """What happens to contacts, through the services that it happens by."""

    def __init__(self, audience: Audience, clock: Any) -> None:
        self.audience = audience
        self.clock = clock
        self.program = Program(make_key("contacts:write", audience=audience)[1])
        self.made: list[str] = []

    def come(self) -> None:
        self.made.append(f"person{len(self.made)}@mail.example.org")
        contacts.get_or_create(self.audience.pk, self.made[-1], country="US" if len(self.made) % 2 else "")

    def do(self, who: int, deed: str, what: Any, time: Any) -> None:
        if deed == "come" or not self.made:
            return self.come()
        if deed == "wait":
            self.clock.shift(time)
            return None
        if deed == "rules":
            Topic.objects.filter(audience=self.audience, key="news").update(basis=what)
            return None
        contact = contacts.find(self.audience.pk, self.made[who % len(self.made)])
        if contact is None or contact.erased_at:
            return None
        now = datetime.now(UTC)
        match deed:
            case "erase":
                submissions.erase(contact.pk, actor=HER, source=PAGE)
            case "merge":
                other = contacts.find(self.audience.pk, self.made[(who + 1) % len(self.made)])
                if other and other.pk != contact.pk and not other.erased_at:
                    submissions.merge_contacts(contact.pk, other.pk, actor=HER, source=PAGE)
            case "die":  # told of late
                contacts.mark_dead(contact.pk, now - timedelta(days=3))
            case "name":
                body = {"email": contact.email, "external_id": f"crm-{contact.pk}"}
                assert self.program.post("contacts/", body).status_code in {200, 422}
            case _:
                self.save(contact, self.change(deed, what, now + time if time else now))
        return None

    def change(self, deed: str, what: Any, until: datetime) -> Change:
        match deed:
            case "choose":
                return SetChoice("news", "email", what, None if what == UNSUBSCRIBED else until)
            case "pause":
                return Pause(*what, until)
            case "move":
                self.made.append(f"moved{len(self.made)}@mail.example.org")
                return ChangeAddress(self.made[-1])
        fixed: dict[str, Change] = {
            "opt_out": OptOut(),
            "opt_in": OptIn(),
            "resume": Resume("", ""),
            "live": SetAttribute("country", "US"),
            "leave_channel": SetChoice("", "email", UNSUBSCRIBED),
        }
        return fixed[deed]

    def save(self, contact: Contact, change: Change) -> None:
        try:
            with transaction.atomic():
                submissions.record(contact.pk, [change], actor=HER, source=PAGE)
        except PrefsError as refused:
            event(type(refused).__name__)


@pytest.mark.django_db
@pytest.mark.property
@hypothesis_settings(examples(25), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(st.integers(0, 3), DEEDS), min_size=4, max_size=14),
    st.booleans(),
    st.sampled_from(["csv", "ndjson"]),
    st.sampled_from(["contract", "consent"]),
    st.sampled_from([0, 1, 50_000]),
)
def test_files_of_changes_keep_a_list_as_a_full_file_is(
    deeds: list[tuple[int, tuple[str, Any, Any]]], paused: bool, form: Format, basis: str, many: int
) -> None:
    with undone(), time_machine.travel(NOW, tick=False) as clock, pytest.MonkeyPatch.context() as patch:
        patch.setattr(suppressions, "PIECE", 2)
        patch.setattr(suppressions, "MANY", many)
        audience = Audience.objects.create(key="changes", name="changes")
        Topic.objects.create(audience=audience, key="news", channels=["email", "sms"], basis=basis)
        life, platform = Life(audience, clock), List(audience, "email", paused, form)
        for _person in range(3):
            life.come()
        platform.bring_up_to_date()
        for who, (deed, what, time) in [*deeds, (0, ("look", None, None))]:
            if deed != "look":
                life.do(who, deed, what, time)
                clock.shift(timedelta(minutes=7))  # further than what comes twice
                continue
            event("changes" if platform.bring_up_to_date() else "full")
            assert platform.rows == platform.full()


@pytest.mark.django_db
def test_each_way_of_changing_is_found(settings: Any) -> None:
    """One after the other, long after the file before, so that nothing else brings her up."""
    audience = Audience.objects.create(key="ways", name="ways")
    Topic.objects.create(audience=audience, key="news", channels=["email"], basis="contract")
    with time_machine.travel(NOW, tick=False) as clock:
        life = Life(audience, clock)
        for _person in range(2):
            life.come()
        hers, other = (contacts.find(audience.pk, address) for address in life.made)
        assert hers and other
        platform = List(audience, "email", True, "ndjson")
        platform.bring_up_to_date()
        ways: list[tuple[str, Any, Any, bool]] = [
            ("choose", SUBSCRIBED, timedelta(days=2), False),
            ("wait", None, timedelta(days=3), True),  # the yes has ended
            ("choose", SUBSCRIBED, timedelta(days=500), False),
            ("pause", ("", "email"), timedelta(days=2), True),
            ("wait", None, timedelta(days=3), False),  # the pause has ended
            ("die", None, None, True),  # three days ago
            ("name", None, None, True),
            ("move", None, None, False),
            ("opt_out", None, None, True),
            ("erase", None, None, True),
        ]
        for deed, what, span, is_suppressed in ways:
            life.do(len(life.made) - 1 if deed in {"opt_out", "erase"} else 0, deed, what, span)
            clock.shift(timedelta(hours=1))
            assert str(hers.pk) in {row["contact"] for row in platform.fetch(platform.since)}, deed
            assert (str(hers.pk) in platform.full()) is is_suppressed, deed
            clock.shift(timedelta(hours=1))
            assert platform.fetch(platform.since) == [], deed
        life.come()
        assert len(platform.fetch(platform.since)) == 1


@pytest.mark.django_db
def test_no_piece_reads_a_whole_table(monkeypatch: pytest.MonkeyPatch) -> None:
    audience = factories.make_audience()
    factories.make_topics(audience)
    crowd = Contact.objects.bulk_create(Contact(audience=audience) for _number in range(3000))
    State.objects.bulk_create(
        State(contact=contact, topic=topic, channel="email", choice=SUBSCRIBED)
        for contact in crowd
        for topic in ("", "news", "offers")
    )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    monkeypatch.setattr(suppressions, "PIECE", 100)
    with CaptureQueriesContext(connection) as captured:
        assert fetch(audience, "news", "email", paused=True) == []
        asked = question(audience.pk, "news", "email", paused=True)
        since = f"{(asked.at + timedelta(microseconds=0)).strftime('%Y-%m-%dT%H:%M:%S.%fZ')}~{asked.rules}"
        Contact.objects.filter(pk=crowd[7].pk).update(touched_at=datetime.now(UTC))
        assert len(fetch(audience, "news", "email", paused=True, since=since)) == 1
    looks = [
        query["sql"]
        for query in captured
        if "wagtail_prefs_contact" in query["sql"] and query["sql"].startswith("SELECT")
    ]
    assert len(looks) >= 62
    for sql in (*looks[:4], *looks[-2:]):
        assert read_whole(sql) == [], sql
    assert read_whole("SELECT * FROM wagtail_prefs_state WHERE frequency = 'x'")


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_no_piece_depends_on_what_the_database_knows_of_its_tables() -> None:
    """Right after a restore it knows nothing, and would go through one table again for each row of another."""
    audience = factories.make_audience()
    factories.make_topics(audience)
    factories.make_contact("a@mail.example.org", audience=audience)
    found = []

    def look(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if "string_agg" in sql:
            with connection.cursor() as cursor:
                cursor.execute("SHOW enable_nestloop")
                found.append(cursor.fetchone()[0])
        return execute(sql, params, many, context)

    with connection.execute_wrapper(look):
        assert len(fetch(audience, "news", "email")) == 1
    assert found == ["off"]
    with connection.cursor() as cursor:
        cursor.execute("SHOW enable_nestloop")
        assert cursor.fetchone()[0] == "on"


def read_whole(sql: str) -> list[str]:
    """Tables of people that a plan goes through from end to end."""
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN {'QUERY PLAN ' if connection.vendor == 'sqlite' else ''}{sql}")
        lines = [str(row[-1] if connection.vendor == "sqlite" else row[0]) for row in cursor.fetchall()]
    if connection.vendor == "sqlite":
        names = ("contact", "everything", "whole", "chosen", "topical", "wagtail_prefs_")
        return [line for line in lines if line.startswith("SCAN") and line.split()[1].startswith(names)]
    # An empty table is read whole, and rightly: there are no records here.
    return [line for line in lines if re.search("Seq Scan on wagtail_prefs_(contact|state)", line)]

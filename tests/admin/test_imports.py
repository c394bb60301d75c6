"""The screen that brings people in from a file: sent, looked through, confirmed, written and deleted."""

from __future__ import annotations

import csv
import logging
from datetime import timedelta
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from wagtail.models import ModelLogEntry

from tests.admin.staff import make_staff
from tests.factories import make_audience, make_editor, make_site, make_topics
from wagtail_prefs.admin.imports import UploadView
from wagtail_prefs.contacts.models import Contact
from wagtail_prefs.ledger.models import Record
from wagtail_prefs.sync import importing, uploads
from wagtail_prefs.sync.models import ImportRun, ImportUpload
from wagtail_prefs.sync.reading import Source
from wagtail_prefs.topics.models import Audience

pytestmark = pytest.mark.django_db

INDEX = "prefs_imports:index"
HEAD = "email,news:email,evidence,evidence_at,attribute:city"
ROWS = [
    "anna@mail.example.org,no,,,",
    "nonsense,no,,,",
    "=cmd@mail.example.org,yes,,,=HYPERLINK(1)",
    "xss@mail.example.org,<script>alert(1)</script>,,,<script>",
    "bert@mail.example.org,yes,order 7,2026-03-04,Wien",
]


@pytest.fixture
def audience() -> Audience:
    make_topics()
    return make_audience()


@pytest.fixture
def staff(client: Client, audience: Audience) -> Client:
    client.force_login(make_staff("importer", "view_contact", "import_contact", site=audience.site))
    return client


def content(*rows: str, head: str = HEAD) -> bytes:
    return "\n".join([head, *rows]).encode()


def send(client: Client, data: bytes, audience: Audience, **more: str) -> Any:
    file = SimpleUploadedFile("people.csv", data, content_type="text/csv")
    return client.post(reverse(INDEX), {"audience": audience.pk, "file": file, **more})


def sent(client: Client, data: bytes, audience: Audience, **more: str) -> str:
    answer = send(client, data, audience, **more)
    assert answer.status_code == 302, answer.content.decode()
    return str(answer["Location"])


def through(client: Client, url: str, step: str, limit: int = 60) -> Any:
    """Press the button as the page does, until it shows another page."""
    for _press in range(limit):
        answer = client.post(url, {"step": step})
        if (
            answer.status_code == 302
            or f'value="{step}" class="button" data-controller' not in answer.content.decode()
        ):
            return answer
    raise AssertionError("it does not end")


def test_a_file_is_sent_looked_through_written_and_deleted(
    staff: Client, audience: Audience, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    url = sent(staff, content(*ROWS), audience)
    first = staff.get(url).content.decode()
    assert "0 of 5 rows" in first
    assert 'value="check" class="button" data-controller' in first
    assert ImportUpload.objects.get().state == "checking"  # to look changes nothing
    forecast = through(staff, url, "check").content.decode()
    assert Contact.objects.count() == Record.objects.count() == 0
    for words in (
        "Not a valid e-mail address",
        "A yes without evidence",
        "A no",
        "Neither yes nor no",
        "Write it",
    ):
        assert words in forecast
    assert "mail.example.org" not in forecast
    assert "alert(1)" not in forecast
    assert staff.get(url).content.decode().count("Not a valid e-mail address") == 2

    done = through(staff, url, "write")
    assert done.status_code == 302
    assert not ImportUpload.objects.exists()
    run = ImportRun.objects.get()
    assert done["Location"] == reverse("prefs_imports:result", args=[run.pk])
    assert set(Contact.objects.values_list("email", flat=True)) >= {
        "anna@mail.example.org",
        "bert@mail.example.org",
    }
    result = staff.get(done["Location"]).content.decode()
    assert "People who are new" in result
    assert "mail.example.org" not in result
    # The last button pressed twice leads to the same place, and writes nothing.
    records = Record.objects.count()
    again = staff.post(url, {"step": "write"})
    assert (again.status_code, again["Location"]) == (302, done["Location"])
    assert Record.objects.count() == records
    entries = ModelLogEntry.objects.filter(action__startswith="wagtail_prefs.import").order_by("pk")
    assert [entry.action for entry in entries] == [importing.STARTED, importing.IMPORTED]
    assert entries[0].data == {"rows": 5}
    assert entries[1].data["sums"] == run.sums
    assert {entry.user_id for entry in entries} == {int(staff.session["_auth_user_id"])}
    told = caplog.text + str(list(ModelLogEntry.objects.values_list("data", "label")))
    assert "mail.example.org" not in told


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "This file is empty"),
        (b"PK\x03\x04\xff\xfe\x00rubbish", "the file is not UTF-8"),
        (content("ä@mail.example.org,no,,,").decode().encode("latin-1"), "not UTF-8"),
        (b"name,city\nAnna,Wien\n", "no column is called email"),
        (b"email,shoe size\nanna@mail.example.org,40\n", "not known what these columns mean: 2"),
        (b'email\n"anna@mail.example.org" x\n', "is no row of a CSV"),
        (b"email\n" + b"x" * uploads.LIMIT, "more than 5 MB"),
    ],
)
def test_what_cannot_be_read_is_refused_in_words(
    staff: Client, audience: Audience, data: bytes, words: str
) -> None:
    answer = send(staff, data, audience)
    assert answer.status_code == 200
    assert words in answer.content.decode()
    assert not ImportUpload.objects.exists()
    assert "anna@" not in answer.content.decode()


def test_columns_can_be_named_otherwise(staff: Client, audience: Audience) -> None:
    data = content("anna@mail.example.org,40,no", head="Kontakt,Shoe size,news:email")
    wrong = send(staff, data, audience, mapping="Kontakt email")
    assert "Each line needs a" in wrong.content.decode()
    url = sent(staff, data, audience, mapping="Kontakt=email\n\nShoe size=\n")
    through(staff, url, "check")
    through(staff, url, "write")
    assert Contact.objects.get().email == "anna@mail.example.org"


def test_a_file_without_anybody_says_so(staff: Client, audience: Audience) -> None:
    url = sent(staff, content(), audience)
    text = through(staff, url, "check").content.decode()
    assert "There is nobody in this file" in text
    assert 'value="write"' not in text


def test_pieces_say_what_the_whole_file_says(
    staff: Client, audience: Audience, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request each for a hundred rows, with people who come again in later ones."""
    monkeypatch.setattr(UploadView, "seconds", 0.0)
    rows = [f"p{number % 140}@mail.example.org,{'no' if number % 3 else 'maybe'},,," for number in range(350)]
    data = content(*rows)
    whole: dict[str, int] = {}
    for step in importing.forecast(Source(data), audience):
        whole = dict(step.sums)
    url = sent(staff, data, audience)
    first = staff.post(url, {"step": "check"})
    assert "100 of 350 rows" in first.content.decode()
    text = through(staff, url, "check").content.decode()
    upload = ImportUpload.objects.get()
    assert (upload.state, upload.sums) == ("checked", whole)
    assert len(upload.problems) == uploads.SHOWN
    assert f"The first 50 of {whole['bad_choice'] + whole.get('duplicate', 0)}" in text
    # Stopped between two pieces, and taken up again.
    staff.post(url, {"step": "write"})
    assert ImportUpload.objects.get().state == "writing"
    written = Record.objects.count()
    assert written > 0
    page = staff.get(url).content.decode()
    assert "100 of 350 rows" in page
    assert 'data-controller="w-init' not in page.partition("<progress")[2]
    assert Record.objects.count() == written
    assert through(staff, url, "write").status_code == 302
    # What comes twice in different pieces is written as it is already.
    again = whole.pop("duplicate")
    assert ImportRun.objects.get().sums == {**whole, "unchanged": again}
    assert Contact.objects.count() == 140
    assert ModelLogEntry.objects.filter(action=importing.STARTED).count() == 1


def test_a_second_press_while_one_is_under_way_does_nothing(staff: Client, audience: Audience) -> None:
    url = sent(staff, content(*ROWS), audience)
    through(staff, url, "check")
    ImportUpload.objects.update(busy_until=timezone.now() + timedelta(seconds=30))
    answer = staff.post(url, {"step": "write"})
    assert "in another window" in answer.content.decode()
    assert Record.objects.count() == 0
    # The one before died: its lease ends.
    ImportUpload.objects.update(busy_until=timezone.now() - timedelta(seconds=1))
    assert staff.post(url, {"step": "write"}).status_code == 302
    assert Record.objects.count() > 0


def test_nothing_is_written_without_a_forecast(staff: Client, audience: Audience) -> None:
    url = sent(staff, content(*ROWS), audience)
    staff.post(url, {"step": "write"})
    staff.post(url, {"step": "nonsense"})
    staff.post(url)
    assert ImportUpload.objects.get().state == "checking"
    assert not Contact.objects.exists()
    assert not ImportRun.objects.exists()


def test_the_same_file_twice(staff: Client, audience: Audience) -> None:
    for time in range(2):
        url = sent(staff, content(*ROWS), audience)
        text = through(staff, url, "check").content.decode()
        assert ("This file was written before" in text) is bool(time)
        records = Record.objects.count()
        assert through(staff, url, "write").status_code == 302
    assert Record.objects.count() == records
    assert ImportRun.objects.count() == 1


def test_the_report_names_rows_and_nobody(staff: Client, audience: Audience) -> None:
    url = sent(staff, content(*ROWS), audience)
    through(staff, url, "check")
    before = list(ImportUpload.objects.values("state", "row", "sums"))
    answer = staff.get(url + "report/")
    rows = list(csv.reader(answer.getvalue().decode().splitlines()))
    assert rows[0] == ["Row", "Column", "What is wrong"]
    assert ["3", "email", "Not a valid e-mail address: the row is left out"] in rows
    assert [row[0] for row in rows[1:]] == ["3", "4", "5"]
    assert not any(cell[:1] in set("=+-@\t") for row in rows for cell in row if cell)
    assert "mail.example.org" not in str(rows)
    assert "no-store" in answer["Cache-Control"]
    assert list(ImportUpload.objects.values("state", "row", "sums")) == before


def test_a_file_can_be_discarded_and_is_forgotten_after_a_day(staff: Client, audience: Audience) -> None:
    url = sent(staff, content(*ROWS), audience)
    assert staff.post(url, {"step": "discard"})["Location"] == reverse(INDEX)
    assert not ImportUpload.objects.exists()
    assert staff.get(url).status_code == staff.post(url, {"step": "write"}).status_code == 404
    sent(staff, content(*ROWS), audience)
    assert uploads.forget_old() == 0
    ImportUpload.objects.update(created_at=timezone.now() - timedelta(hours=25))
    assert uploads.forget_old() == 1
    assert not ImportUpload.objects.exists()


def test_the_worker_forgets_old_files(staff: Client, audience: Audience) -> None:
    from django.core.management import call_command

    sent(staff, content(*ROWS), audience)
    ImportUpload.objects.update(created_at=timezone.now() - timedelta(hours=25))
    call_command("prefs_deliver", "--once")
    assert not ImportUpload.objects.exists()


def test_nobody_sees_a_file_of_somebody_else(staff: Client, audience: Audience) -> None:
    url = sent(staff, content(*ROWS), audience)
    assert url in staff.get(reverse(INDEX)).content.decode()
    elsewhere = make_audience(make_site("other.example", port=443))
    codenames = ("view_contact", "import_contact")
    others = [
        make_staff("colleague", *codenames, site=audience.site),
        make_staff("elsewhere", *codenames, site=elsewhere.site),
    ]
    for user in others:
        other = Client()
        other.force_login(user)
        for answer in (
            other.get(url), other.get(url + "report/"),
            *(other.post(url, {"step": step}) for step in ("check", "write", "discard")),
        ):  # fmt: skip
            assert answer.status_code == 404
        assert url not in other.get(reverse(INDEX)).content.decode()
    # Nor sends one into an audience that is not hers.
    assert send(other, content(*ROWS), audience).status_code == 200
    assert ImportUpload.objects.count() == 1
    root = Client()
    root.force_login(make_editor())
    assert root.get(url).status_code == 200
    assert url in root.get(reverse(INDEX)).content.decode()
    through(staff, url, "check")
    done = through(staff, url, "write")["Location"]
    assert other.get(done).status_code == 404
    assert other.post(url, {"step": "write"}).status_code == 404


@pytest.mark.parametrize("codename", ["view_contact", "import_contact"])
def test_both_permissions_are_needed(client: Client, audience: Audience, codename: str) -> None:
    client.force_login(make_staff("half", codename, site=audience.site))
    for answer in (client.get(reverse(INDEX)), send(client, content(*ROWS), audience)):
        assert answer.status_code == 302
        assert answer["Location"] == reverse("wagtailadmin_home")
    assert not ImportUpload.objects.exists()


def test_empty_states(client: Client) -> None:
    make_site()
    Audience.objects.all().delete()
    client.force_login(make_editor())
    assert "There is no audience yet" in client.get(reverse(INDEX)).content.decode()
    assert client.post(reverse(INDEX)).status_code == 200
    make_audience()
    assert "Nothing has been imported yet" in client.get(reverse(INDEX)).content.decode()


def test_the_pages_cost_the_same_however_many_there_are(staff: Client, audience: Audience) -> None:
    def cost(url: str) -> int:
        staff.get(url)
        with CaptureQueriesContext(
            connection,
        ) as asked:
            assert staff.get(url).status_code == 200
        return len(asked)

    small = sent(staff, content(*ROWS[:1]), audience)
    index, progress = cost(reverse(INDEX)), cost(small)
    large = sent(staff, content(*[f"p{number}@mail.example.org,maybe,,," for number in range(60)]), audience)
    assert cost(reverse(INDEX)) == index <= 16
    assert cost(large) == progress <= 14
    for url in (small, large):
        through(staff, url, "check")
    assert cost(large) == cost(small) <= 15
    through(staff, small, "write")
    run = ImportRun.objects.get()
    assert cost(reverse("prefs_imports:result", args=[run.pk])) <= 14


def test_uploads_are_kept_out_of_what_wagtail_indexes() -> None:
    from wagtail.models import ReferenceIndex
    from wagtail.search import index

    assert ImportUpload not in index.get_indexed_models()
    assert not ReferenceIndex.model_is_indexable(ImportUpload)

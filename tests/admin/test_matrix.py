"""Six roles before every door of ours in the admin, on two sites, by looking and by a forged form (security.md AD-01).

What opens for whom stands in `matrix.txt` beside this and is held to the letter: a new screen, or a permission that opens
another one, shows up there and is looked at by somebody. To write it anew: `UPDATE_MATRIX=1 pytest tests/admin/test_matrix.py`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from wagtail.models import Page

from tests.admin.doors import FOR_ALL, FORGED, OF_NO_SITE, everything, our_urls, turned_away
from tests.admin.staff import EVERYTHING, make_staff
from tests.factories import make_audience, make_center, make_contact, make_editor, make_site
from wagtail_prefs.contacts.models import Contact
from wagtail_prefs.topics.models import Topic

pytestmark = pytest.mark.django_db

MATRIX = Path(__file__).with_name("matrix.txt")
#: Each is a letter of the table, and what it may do beside opening the admin.
ROLES: dict[str, tuple[str, ...]] = {
    "e: an editor of pages": (),
    "h: the help desk": ("view_contact", "change_contact", "retry_contact"),
    "p: the privacy officer": tuple(
        name
        for name in EVERYTHING
        if name
        in {
            "view_contact",
            "reveal_contact",
            "export_contact",
            "erase_contact",
            "verify_contact",
            "change_contact",
        }
    ),
    "a: an analyst": ("results_contact", "download_contact"),
    "i: an integrator": (
        "view_contact", "import_contact", "view_delivery", "view_subscriber", "view_apikey", "add_apikey", "change_apikey",
    ),
    "s: a superuser": (),
}  # fmt: skip


def user_of(role: str, site: Any) -> Any:
    if role.startswith("s"):
        return make_editor("root")
    return make_staff(role[0], *ROLES[role], site=site)


def opened(answer: Any) -> bool:
    """Whether she is in: a method that is not for this door is said to whoever may open it only."""
    return answer.status_code == 405 or not turned_away(answer)


def looked(client: Client, url_of: Callable[[str, str], str]) -> set[str]:
    return {name for name, path in our_urls() if opened(client.get(url_of(name, path)))}


def table() -> dict[str, set[str]]:
    """{door: the letters of those who get in}"""
    found = {}
    for line in MATRIX.read_text().splitlines():
        if line and not line.startswith("#"):
            letters, name = line.split(maxsplit=1)
            found[name] = set(letters) - {"."}
    return found


@pytest.mark.parametrize("role", ROLES)
def test_a_role_opens_its_doors_and_no_other(
    client: Client,
    there: Contact,
    url_of: Callable[[str, str], str],
    role: str,
) -> None:
    client.force_login(user_of(role, there.audience.site))
    found = looked(client, url_of)
    if os.environ.get("UPDATE_MATRIX"):
        known = table() if MATRIX.exists() else {}
        rows = {name: known.get(name, set()) - {role[0]} for name, _path in our_urls()}
        for name in found:
            rows[name].add(role[0])
        order = [one[0] for one in ROLES]
        MATRIX.write_text(
            "".join(
                [
                    *(f"# {one}\n" for one in ROLES),
                    *(
                        f"{''.join(letter if letter in rows[name] else '.' for letter in order)} {name}\n"
                        for name in sorted(rows)
                    ),
                ]
            )
        )
    assert {name for name, letters in table().items() if role[0] in letters} == found
    assert set(table()) == {name for name, _path in our_urls()}


@pytest.mark.parametrize("role", [role for role in ROLES if not role.startswith("s")])
def test_on_another_site_it_opens_nothing_of_this_one(
    client: Client,
    there: Contact,
    url_of: Callable[[str, str], str],
    role: str,
) -> None:
    """Lists open, and hold nobody of this site; forms change nothing here."""
    elsewhere = make_site("other.example", port=443)
    hers = make_audience(elsewhere)
    make_contact("elsewhere@mail.example.org", audience=hers)
    client.force_login(user_of(role, elsewhere))
    here, before = str(there.pk), everything()
    lists = {name for name, path in our_urls() if name.startswith("prefs_") and "<" not in path}
    for name, path in our_urls():
        url = url_of(name, path)
        for answer in (client.get(url), client.post(url, FORGED)):
            if name in lists or name.startswith((*FOR_ALL, *OF_NO_SITE)):
                assert here not in answer.getvalue().decode(errors="replace"), name
            else:
                assert turned_away(answer), (name, answer.status_code)
    assert _without_api_keys(everything()) == _without_api_keys(before)


@pytest.mark.parametrize("role", ROLES)
def test_a_form_from_another_website_changes_nothing(
    there: Contact,
    url_of: Callable[[str, str], str],
    role: str,
) -> None:
    """Whoever she is: without the token of the page nothing is heard."""
    client = Client(enforce_csrf_checks=True)
    client.force_login(user_of(role, there.audience.site))
    before = everything()
    for name, path in our_urls():
        answer = client.post(url_of(name, path), FORGED, headers={"Origin": "https://evil.example"})
        assert answer.status_code == 403, (name, answer.status_code)
    assert everything() == before
    assert Topic.objects.exists()


#: What Wagtail offers to do with many at once: with rows of ours, and with pages.
MANY = [
    *(
        ("wagtail_prefs", model, "delete")
        for model in ("topic", "topicgroup", "audience", "contact", "apikey", "erasure")
    ),
    *(("wagtailcore", "page", action) for action in ("delete", "move", "publish", "unpublish")),
]


@pytest.mark.parametrize("site", ["this", "another"])
@pytest.mark.parametrize("role", [role for role in ROLES if not role.startswith("s")])
def test_with_many_at_once_nobody_does_what_she_may_not_do_with_one(
    client: Client, there: Contact, role: str, site: str
) -> None:
    """None of the six may add, change or delete topics, audiences or pages one by one, but for the superuser."""
    center = make_center()
    client.force_login(
        user_of(role, there.audience.site if site == "this" else make_site("other.example", port=443))
    )
    rows = {"topic": Topic.objects.get(key="news").pk, "audience": there.audience_id}
    before, pages = everything(), list(Page.objects.order_by("pk").values("pk", "live", "path"))
    for app, model, action in MANY:
        url = reverse("wagtail_bulk_action", args=[app, model, action])
        one = str(there.pk) if model in {"contact", "erasure"} else str(rows.get(model, center.pk))
        for ids in ("all", one):
            client.get(url, {"id": ids})
            client.post(f"{url}?id={ids}", {"id": ids, "include_descendants": "on", "chooser": "1", **FORGED})
    assert everything() == before
    assert list(Page.objects.order_by("pk").values("pk", "live", "path")) == pages


def test_these_are_the_doors_for_many(client: Client, there: Contact) -> None:
    """They open for the superuser, so that nobody above is turned away from what leads nowhere."""
    center = make_center()
    client.force_login(make_editor("root"))
    for action, ids in (("unpublish", center.pk), ("delete", center.pk)):
        url = reverse("wagtail_bulk_action", args=["wagtailcore", "page", action])
        assert client.post(f"{url}?id={ids}").status_code == 302
        left = Page.objects.filter(pk=center.pk).values_list("live", flat=True).first()
        assert left is (False if action == "unpublish" else None)


def _without_api_keys(tables: list[Any]) -> list[Any]:
    """An integrator of another site may well make a key there."""
    return tables[1:]

"""Who of the staff may do what: every URL of ours in the admin, by looking and by a forged form (security.md AD-01)."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from django.contrib.auth.models import Group, Permission
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from wagtail.models import GroupSitePermission, ModelLogEntry, PageLogEntry
from wagtail.permissions import policy_registry

from tests.admin.doors import FOR_ALL, FORGED, OF_NO_SITE, everything, our_urls, turned_away
from tests.admin.staff import EVERYTHING, make_staff
from tests.delivery.people import JOIN, save
from tests.factories import make_audience, make_contact, make_editor, make_site
from wagtail_prefs.admin import permissions as may, staff_log
from wagtail_prefs.backends.database.models import Subscriber
from wagtail_prefs.contacts.models import Contact
from wagtail_prefs.delivery.models import Delivery
from wagtail_prefs.delivery.services import run_once
from wagtail_prefs.topics.models import Audience

pytestmark = pytest.mark.django_db

ROOT = Path(__file__).resolve().parents[2]


def test_nobody_gets_in_who_is_not_staff(client: Client, url_of: Callable[[str, str], str]) -> None:
    before, asked = everything(), 0
    for name, path in our_urls():
        for answer in (client.get(url_of(name, path)), client.post(url_of(name, path))):
            asked += 1
            assert answer.status_code == 302, name
            assert answer["Location"].startswith(reverse("wagtailadmin_login")), name
    assert asked > 80
    assert everything() == before


@pytest.mark.parametrize("role", ["an editor without permissions", "staff of another site"])
def test_whoever_may_not_is_turned_away(client: Client, url_of: Callable[[str, str], str], role: str) -> None:
    if role == "staff of another site":
        elsewhere = make_site("other.example", port=443)
        make_contact("elsewhere@mail.example.org", audience=make_audience(elsewhere))
        client.force_login(make_staff("other", *EVERYTHING, site=elsewhere))
        # Lists, which then hold nobody of this site.
        own = {name for name, path in our_urls() if name.startswith("prefs_") and "<" not in path}
        own |= {name for name, _path in our_urls() if name.startswith(OF_NO_SITE)}
        assert len(own) > 5
    else:
        client.force_login(make_staff("editor"))
        own = set()
    before = everything()
    ids = {str(contact.pk) for contact in Contact.objects.filter(audience__site__hostname="localhost")}
    for name, path in our_urls():
        logged = ModelLogEntry.objects.count(), PageLogEntry.objects.count()
        for answer in (client.get(url_of(name, path)), client.post(url_of(name, path), FORGED)):
            if name in own or name.startswith(FOR_ALL):
                # What they do see is nobody of this site.
                assert answer.status_code < 500, name
                text = answer.getvalue().decode()
                assert not any(contact in text for contact in ids), name
            else:
                assert turned_away(answer), (name, answer.status_code)
                assert (ModelLogEntry.objects.count(), PageLogEntry.objects.count()) == logged, name
    assert everything() == before


def test_the_urls_are_real(client: Client, url_of: Callable[[str, str], str]) -> None:
    """So that nobody is turned away from an address that leads nowhere for anybody."""
    client.force_login(make_editor())
    for name, path in our_urls():
        answer = client.get(url_of(name, path))
        may_redirect = "centers:choose_parent" in name
        assert answer.status_code in ({200, 302} if may_redirect else {200, 405}), (name, answer.status_code)


ROUTES: dict[str, tuple[str, set[str]]] = {
    "view_contact": ("GET", {"person"}),
    "reveal_contact": ("POST", {"reveal"}),
    "change_contact": ("GET", {"change"}),
    "verify_contact": ("POST", {"verify"}),
    "retry_contact": ("POST", {"retry"}),
}


@pytest.mark.parametrize("everywhere", [True, False])
@pytest.mark.parametrize("codename", list(ROUTES))
def test_each_permission_opens_its_own_door_only(
    client: Client, there: Contact, codename: str, everywhere: bool
) -> None:
    """And each but looking needs looking, too."""
    site = None if everywhere else there.audience.site
    client.force_login(make_staff("staff", "view_contact", *{codename} - {"view_contact"}, site=site))
    alone = Client()
    alone.force_login(make_staff("alone", codename, site=site))
    delivery = Delivery.objects.get(contact=there.pk)
    for other, (method, names) in ROUTES.items():
        for name in names:
            values = {"pk": there.pk, **({"delivery_id": delivery.pk} if name == "retry" else {})}
            url = reverse(f"prefs_contacts:{name}", kwargs=values)
            answer = client.generic(method, url)
            opened = other in {codename, "view_contact"}
            assert turned_away(answer) is not opened, name
            assert turned_away(alone.generic(method, url)) is not (codename == other == "view_contact")


def test_a_permission_on_one_site_is_none_on_another(client: Client, there: Contact) -> None:
    """To look here and to change there lets nobody change here."""
    elsewhere = make_site("other.example", port=443)
    hers = make_contact("elsewhere@mail.example.org", audience=make_audience(elsewhere))
    user = make_staff("here", "view_contact", site=there.audience.site)
    more = make_staff("there", "view_contact", "change_contact", site=elsewhere)
    user.groups.add(*more.groups.all())
    client.force_login(user)
    assert client.get(reverse("prefs_contacts:change", args=[hers.pk])).status_code == 200
    assert client.get(reverse("prefs_contacts:person", args=[there.pk])).status_code == 200
    assert turned_away(client.get(reverse("prefs_contacts:change", args=[there.pk])))


def test_the_people_of_an_audience_without_a_site_are_for_those_who_may_everywhere(client: Client) -> None:
    site = make_site()
    audience = Audience.objects.create(key="loose", name="Loose")
    contact = make_contact(audience=audience)
    url = reverse("prefs_contacts:person", args=[contact.pk])
    client.force_login(make_staff("site", "view_contact", site=site))
    assert client.get(url).status_code == 404
    client.force_login(make_staff("all", "view_contact"))
    assert client.get(url).status_code == 200


def test_nobody_edits_rows_about_people_by_hand() -> None:
    root = make_editor()
    for model in (Contact, Delivery, Subscriber):
        policy = policy_registry.get_by_type(model)
        for action in ("add", "delete", "publish", "nonsense"):
            assert not policy.user_has_permission(root, action)
            assert not policy.user_has_permission_for_instance(root, action, model())
            assert not policy.instances_user_has_permission_for(root, action).exists()
            assert not policy.sites_user_has_permission_for(root, action).exists()
    assert not policy_registry.get_by_type(Delivery).user_has_permission(root, "change")


@pytest.mark.parametrize("model", ["contact", "delivery", "subscriber", "record", "state"])
def test_there_is_no_bulk_action_on_people(client: Client, there: Contact, model: str) -> None:
    client.force_login(make_editor())
    url = reverse("wagtail_bulk_action", args=["wagtail_prefs", model, "delete"])
    before = everything()
    for answer in (
        client.get(url, {"id": "all"}),
        client.post(f"{url}?id=all"),
        client.post(f"{url}?id={there.pk}"),
    ):
        assert answer.status_code == 404
    assert everything() == before


def test_the_audiences_of_a_user(there: Contact) -> None:
    make_audience(make_site("other.example", port=443))
    assert may.audiences(make_editor(), may.EXPORT).count() == 2
    assert may.audiences(make_staff("all", "export_contact"), may.EXPORT).count() == 2
    limited = make_staff("one", "export_contact", site=there.audience.site)
    assert list(may.audiences(limited, may.EXPORT)) == [there.audience]
    assert not may.audiences(limited, may.VIEW).exists()
    inactive = make_staff("left", "export_contact")
    inactive.is_active = False
    assert not may.audiences(inactive, may.EXPORT).exists()


def test_lists_hold_the_people_of_the_users_sites_only(client: Client, there: Contact) -> None:
    other = make_contact(
        "elsewhere@mail.example.org", audience=make_audience(make_site("other.example", port=443))
    )
    save(other.pk, JOIN)
    run_once()
    client.force_login(make_staff("here", "view_delivery", "view_subscriber", site=there.audience.site))
    for name, model in (("prefs_deliveries", Delivery), ("prefs_subscribers", Subscriber)):
        text = client.get(reverse(f"{name}:index")).content.decode()
        assert str(there.pk) in text
        assert str(other.pk) not in text
        rows = {row.contact: row for row in model.objects.all()}
        assert client.get(reverse(f"{name}:inspect", args=[rows[there.pk].pk])).status_code == 200
        assert client.get(reverse(f"{name}:inspect", args=[rows[other.pk].pk])).status_code == 404


def test_groups_are_given_permissions_site_by_site(client: Client, there: Contact) -> None:
    second = make_site("other.example", port=443)
    first = there.audience.site
    client.force_login(make_editor())
    group = Group.objects.create(name="Helpdesk")
    url = reverse("wagtailusers_groups:edit", args=[group.pk])
    page = client.get(url).content.decode()
    assert "People and their preferences, site by site" in page
    for label in ("Can see addresses and answers", "Can retry deliveries", "Can verify the ledger"):
        assert label in page
    data = {
        "name": "Helpdesk",
        **{
            f"{prefix}-{key}": value
            for prefix in (
                "page_permissions",
                "collection_permissions",
                "image_permissions",
                "document_permissions",
            )
            for key, value in {"TOTAL_FORMS": 0, "INITIAL_FORMS": 0, "MAX_NUM_FORMS": 1000}.items()
        },
    }
    field = "wagtail_prefs_people-site_{}"
    given = {
        field.format(first.pk): ["view_contact", "change_contact"],
        field.format(second.pk): ["view_delivery"],
    }
    assert client.post(url, {**data, **given}).status_code == 302
    assert _held(group) == {
        ("localhost", "view_contact"), ("localhost", "change_contact"), ("other.example", "view_delivery"),
    }  # fmt: skip
    # Of others nothing is taken: settings of sites have permissions of this kind, too.
    foreign = Permission.objects.get(codename="change_embedsettings")
    GroupSitePermission.objects.create(group=group, site=first, permission=foreign)
    given = {field.format(first.pk): ["view_contact"], field.format(second.pk): []}
    assert client.post(url, {**data, **given}).status_code == 302
    assert ("localhost", "view_contact") in _held(group)
    assert ("localhost", "change_contact") not in _held(group)
    text = client.get(url).content.decode()
    assert text.count(" checked") >= 1
    answer = client.post(url, {**data, field.format(first.pk): ["delete_contact"]})
    assert answer.status_code == 200  # not on offer
    assert ("localhost", "delete_contact") not in _held(group)


def _held(group: Group) -> set[tuple[str, str]]:
    rows = GroupSitePermission.objects.filter(group=group)
    return set(rows.values_list("site__hostname", "permission__codename"))


def test_a_new_group_can_be_given_them_at_once(client: Client) -> None:
    site = make_site()
    client.force_login(make_editor())
    data = {
        "name": "New",
        f"wagtail_prefs_people-site_{site.pk}": ["view_contact"],
        **{
            f"{prefix}-{key}": value
            for prefix in (
                "page_permissions",
                "collection_permissions",
                "image_permissions",
                "document_permissions",
            )
            for key, value in {"TOTAL_FORMS": 0, "INITIAL_FORMS": 0, "MAX_NUM_FORMS": 1000}.items()
        },
    }
    assert client.post(reverse("wagtailusers_groups:add"), data).status_code == 302
    assert _held(Group.objects.get(name="New")) == {("localhost", "view_contact")}


def test_the_reference_names_every_permission_and_every_action() -> None:
    text = (ROOT / "docs/reference/permissions.md").read_text()
    for codename, label in may.LABELS.items():
        assert f"| {label} | `{codename}` |" in text
    for name in ("VIEWED", "REVEALED", "CHANGED", "RETRIED", "VERIFIED", "MISSED"):
        assert f"`{getattr(staff_log, name).removeprefix('wagtail_prefs.contact')}`" in text.replace(
            "`wagtail_prefs.contact", "`"
        )


def test_the_how_to_names_what_is_on_the_screens(client: Client, there: Contact) -> None:
    """Every word that it sets in bold can be found there."""
    client.force_login(make_editor())
    Delivery.objects.update(failing_since=timezone.now(), due_at=None, delivered=0)
    change = reverse("prefs_contacts:change", args=[there.pk])
    drawn = client.get(change)
    form = drawn.context["form"]
    wish = {"base_version": form.initial["base_version"], "act": form.initial["act"], "everything": "opt_out"}
    pages = [
        client.get(reverse("prefs_contacts:index")),
        client.get(reverse("prefs_contacts:person", args=[there.pk])),
        drawn,
        client.post(change, {**wish, "reason": "called us", "step": "preview"}),
    ]
    shown = "".join(page.content.decode() for page in pages)
    named = re.findall(r"\*\*([^*]+)\*\*", (ROOT / "docs/how-to/help-a-contact.md").read_text())
    assert len(named) > 12
    assert [words for words in named if words not in shown and not words.startswith("A no is")] == []

"""The demo as somebody meets it who typed `make demo`."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from pathlib import Path

import jsonschema
import pytest
import requests

from .conftest import Demo, Json, until

URL = {"type": "string", "pattern": r"^http://127\.0\.0\.1:[0-9]+"}


def exactly(**properties: Json) -> Json:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


FACTS = exactly(
    site=URL,
    customer_site=URL,
    crm=URL,
    admin=exactly(url=URL, user={"type": "string"}, password={"type": "string", "minLength": 8}),
    centers={
        "type": "array",
        "minItems": 1,
        "items": exactly(id={"type": "string", "format": "uuid"}, url=URL, slug={"type": "string"}),
    },
    api_key={"type": "string", "pattern": r"^wpk_\w+$"},
    contacts={
        "type": "array",
        "minItems": 25,
        "maxItems": 25,
        "items": exactly(
            id={"type": "string", "format": "uuid"},
            email={"type": "string", "pattern": r"@[a-z]+\.example$"},
            manage_url={**URL, "pattern": r"/prefs/l/[^/]+/$"},
            embed_url={**URL, "pattern": r"/prefs/l/[^/]+/$"},
            one_click_url={**URL, "pattern": r"/prefs/u/[^/]+/$"},
        ),
    },
)


def get(url: str, **options: object) -> requests.Response:
    return requests.get(url, timeout=20, **options)  # type: ignore[arg-type]


def without_times(facts: Json) -> Json:
    """Links hold the second in which they were made."""
    people = [{"id": contact["id"], "email": contact["email"]} for contact in facts["contacts"]]
    return {**facts, "contacts": people}


class TestSite:
    def test_pages_answer_in_both_languages(self, demo: Demo) -> None:
        site = demo.place.site
        assert "That is all we are after" in get(f"{site}/").text
        assert "Mehr wollen wir nicht" in get(f"{site}/de/").text
        assert "What may we write to you about?" in get(demo.facts["centers"][0]["url"]).text
        assert "Worüber dürfen wir Ihnen schreiben?" in get(f"{site}/de/ihre-post/").text

    def test_the_key_asks_before_it_sends(self, demo: Demo) -> None:
        asked = {
            "topic": "rides",
            "channel": "email",
            "contacts": [contact["id"] for contact in demo.facts["contacts"]],
        }
        answer = requests.post(
            f"{demo.place.site}/prefs/api/v1/decisions/",
            json=asked,
            headers={"Authorization": f"Bearer {demo.facts['api_key']}"},
            timeout=20,
        )
        assert answer.status_code == 200, answer.text
        decisions = answer.json()["decisions"]
        assert [decision["contact"] for decision in decisions] == asked["contacts"]
        assert {"send", "refuse"} <= {decision["decision"] for decision in decisions}

    def test_the_editor_can_log_in(self, demo: Demo) -> None:
        admin = demo.facts["admin"]
        session = requests.Session()
        login = session.get(f"{admin['url']}login/", timeout=20)
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', login.text)
        assert token
        answer = session.post(
            f"{admin['url']}login/",
            data={"username": admin["user"], "password": admin["password"], "csrfmiddlewaretoken": token[1]},
            headers={"Referer": f"{admin['url']}login/"},
            timeout=20,
        )
        assert answer.status_code == 200
        assert "data-wagtail-sidebar" in answer.text or "Dashboard" in answer.text

    def test_a_topic_table_shows_six_topics_in_two_groups_on_three_channels(self, demo: Demo) -> None:
        center = demo.facts["centers"][0]["id"]
        for locale, groups in (
            ("en", {"Out on the road", "Shop and workshop"}),
            ("de", {"Unterwegs", "Laden und Werkstatt"}),
        ):
            document = get(
                f"{demo.place.site}/prefs/api/v1/centers/{center}/", params={"locale": locale}
            ).json()
            matrix = document["blocks"][0]["controls"][0]
            assert len(matrix["rows"]) == 6
            assert {row["group"] for row in matrix["rows"]} == groups
            assert [column["key"] for column in matrix["columns"]] == ["email", "sms", "post"]
            assert [block["type"] for block in document["blocks"]] == [
                "topics",
                "frequency",
                "pause",
                "profile",
                "question",
                "privacy_notice",
                "transactional",
                "unsubscribe_all",
                "reason",
                "history",
                "your_data",
                "follow_us",
            ]


class TestCustomersSite:
    @pytest.mark.parametrize("path", ["/", "/de/"])
    def test_pages_embed_the_center_under_a_strict_policy(self, demo: Demo, path: str) -> None:
        answer = get(f"{demo.place.customer}{path}")
        policy = answer.headers["Content-Security-Policy"]
        site = demo.place.site
        for directive in (
            "default-src 'none'",
            f"script-src {site}",
            "style-src 'self'",
            "img-src 'self'",
            f"connect-src {site}",
            "require-trusted-types-for 'script'",
            "trusted-types 'none'",
            "base-uri 'none'",
            "form-action 'none'",
        ):
            assert directive in [part.strip() for part in policy.split(";")]
        assert "unsafe" not in policy
        assert f'src="{site}/prefs/api/v1/centers/{demo.facts["centers"][0]["id"]}/"' in answer.text
        assert "<style" not in answer.text
        assert "style=" not in answer.text

    def test_the_script_is_pinned_to_what_the_site_serves(self, demo: Demo) -> None:
        page = get(f"{demo.place.customer}/").text
        tag = re.search(r'<script type="module" src="([^"]+)" integrity="sha384-([^"]+)" crossorigin>', page)
        assert tag
        script = get(tag[1], headers={"Origin": demo.place.customer})
        assert script.headers["Access-Control-Allow-Origin"] == "*"
        assert base64.b64encode(hashlib.sha384(script.content).digest()).decode() == tag[2]

    def test_nothing_outside_its_folder_is_served(self, demo: Demo) -> None:
        for path in (
            "/../secrets.json",
            "/%2e%2e/secrets.json",
            "/..%2fsecrets.json",
            "//secrets.json",
            "/de",
        ):
            request = requests.Request("GET", demo.place.customer).prepare()
            request.url = f"{demo.place.customer}{path}"
            assert requests.Session().send(request, timeout=10).status_code == 404

    def test_a_mailed_link_leads_to_the_page_in_the_contacts_language(self, demo: Demo) -> None:
        by_address = {contact["email"]: contact for contact in demo.facts["contacts"]}
        for email, path in (("lantern-02@customer.example", "/"), ("pannier-03@customer.example", "/de/")):
            answer = get(by_address[email]["embed_url"], allow_redirects=False)
            assert answer.status_code == 302
            assert answer.headers["Location"].startswith(f"{demo.place.customer}{path}#pc=")


class TestContacts:
    def test_the_crm_hears_of_all_of_them(self, demo: Demo) -> None:
        versions = demo.versions()
        assert len(versions) == 25
        assert min(versions.values()) >= 2  # several submissions each
        until(lambda: {key: entry["version"] for key, entry in demo.known().items()} == demo.versions())
        known = list(demo.known().values())
        assert sum(entry["opted_out"] for entry in known) >= 2
        assert any(
            "unsubscribed" in channels.values() for entry in known for channels in entry["choices"].values()
        )
        assert any(entry["frequencies"] for entry in known)

    def test_the_facts_are_json_and_asking_again_changes_nothing(self, demo: Demo, tmp_path: Path) -> None:
        tables = (
            "wagtailcore_page",
            "wagtail_prefs_topic",
            "wagtail_prefs_contact",
            "wagtail_prefs_centersnapshot",
        )
        counts = "SELECT " + ", ".join(f"(SELECT COUNT(*) FROM {table})" for table in tables)
        rows, mails = demo.query(counts), len(demo.mails())
        facts = json.loads(demo.manage("prefs_demo", "--json", cwd=tmp_path).stdout)  # from any folder
        jsonschema.validate(facts, FACTS, format_checker=jsonschema.FormatChecker())
        assert facts["site"] == demo.place.site
        assert without_times(facts) == without_times(demo.facts)
        assert demo.query(counts) == rows
        assert len(demo.mails()) == mails

    def test_its_migrations_are_complete(self, demo: Demo) -> None:
        assert "No changes detected" in demo.manage("makemigrations", "--check", "--dry-run").stdout


class TestMailbox:
    def test_everybody_got_one_mail_with_the_headers_for_one_click(self, demo: Demo) -> None:
        mails = demo.mails()
        assert sorted(mail["to"] for mail in mails) == sorted(
            contact["email"] for contact in demo.facts["contacts"]
        )
        for mail in mails:
            assert re.fullmatch(rf"<{demo.place.site}/prefs/u/[\w.-]+/>", mail["list_unsubscribe"])
            assert mail["list_unsubscribe_post"] == "List-Unsubscribe=One-Click"
            manage, embed, one_click = mail["links"]
            assert f"<{one_click}>" == mail["list_unsubscribe"]
            assert manage.startswith(f"{demo.place.site}/prefs/l/")
            assert embed.startswith(f"{demo.place.site}/prefs/l/")

    def test_pages_show_list_and_mail(self, demo: Demo) -> None:
        mail = demo.mails()[0]
        assert mail["to"] in get(f"{demo.place.mailbox}/").text
        page = get(mail["url"])
        for link in mail["links"]:
            assert f'<a href="{link}">' in page.text
        assert "Unsubscribe</button>" in page.text
        html = get(f"{mail['url']}html")
        assert "sandbox" in html.headers["Content-Security-Policy"]
        assert "allow-scripts" not in html.headers["Content-Security-Policy"]
        assert mail["links"][0] in html.text

    def test_a_mail_clients_button_reaches_the_crm(self, demo: Demo) -> None:
        contact = demo.facts["contacts"][4]
        mail = demo.mail_to(contact)
        answer = requests.post(f"{mail['url']}one-click", timeout=20)
        assert "The site answered 200" in answer.text
        until(lambda: _rides(demo, contact) == "unsubscribed")

    def test_another_site_cannot_press_it(self, demo: Demo) -> None:
        mail = demo.mail_to(demo.facts["contacts"][5])
        answer = requests.post(
            f"{mail['url']}one-click", headers={"Sec-Fetch-Site": "cross-site"}, timeout=20
        )
        assert answer.status_code == 403


class TestCrm:
    def test_after_an_outage_it_catches_up(self, demo: Demo) -> None:
        contact = demo.facts["contacts"][10]
        # Of everybody, or their first deliveries would fill the log of the CRM, which is short.
        until(lambda: {one["id"] for one in demo.facts["contacts"]} <= demo.known().keys())
        requests.post(f"{demo.place.crm}/outage", data={"state": "broken"}, timeout=20)
        try:
            answer = requests.post(
                contact["one_click_url"], data={"List-Unsubscribe": "One-Click"}, timeout=20
            )
            assert answer.status_code == 200
            until(
                lambda: (
                    f'<span class="fate refused">refused</span> {contact["email"]}'
                    in get(demo.place.crm).text
                )
            )
            assert _rides(demo, contact) != "unsubscribed"
        finally:
            requests.post(f"{demo.place.crm}/outage", data={"state": "healthy"}, timeout=20)
        until(lambda: _rides(demo, contact) == "unsubscribed")

    def test_who_leaves_over_there_has_left_everywhere(self, demo: Demo) -> None:
        contact = demo.facts["contacts"][9]
        until(lambda: contact["id"] in demo.known())
        page = get(demo.place.crm).text
        assert f'value="{contact["id"]}"' in page
        answer = requests.post(f"{demo.place.crm}/leave", data={"contact": contact["id"]}, timeout=20)
        assert answer.status_code == 200
        until(lambda: demo.known()[contact["id"]]["opted_out"])  # it came back from the site
        refused = requests.post(f"{demo.place.crm}/leave", data={"contact": "nobody"}, timeout=20)
        assert refused.status_code == 404

    def test_it_takes_nothing_that_is_not_signed(self, demo: Demo) -> None:
        before = demo.known().keys()
        body = {"type": "contact.preferences", "contact": {"id": "x"}, "version": 1}
        for headers in ({}, {"webhook-id": "a", "webhook-timestamp": "1", "webhook-signature": "v1,AAAA"}):
            answer = requests.post(
                f"{demo.place.crm}/hooks/preferences", json=body, headers=headers, timeout=10
            )
            assert answer.status_code == 401
        assert before <= demo.known().keys()
        assert "x" not in demo.known()

    def test_a_name_made_to_point_to_loopback_learns_nothing(self, demo: Demo) -> None:
        for server in (demo.place.crm, demo.place.mailbox, demo.place.customer):
            assert get(server, headers={"Host": "rebound.example"}).status_code == 421


def _rides(demo: Demo, contact: Json) -> str | None:
    # The CRM hears of a contact with her first delivery, so at first there may be nobody.
    choices: dict[str, dict[str, str]] = demo.known().get(contact["id"], {}).get("choices", {})
    return choices.get("rides", {}).get("email")

"""`make demo CRM=mailchimp`, in processes of its own: what somebody sees who tries a platform. The others: tests/vendors/test_demo.py."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import requests

from .conftest import Demo, until


def believed(demo: Demo) -> dict[str, Any]:
    people = requests.get(f"{demo.place.platform}/people.json", timeout=10).json()
    return {person["who"]: person for person in people}


def test_a_save_and_a_leave_go_both_ways(make_demo: Callable[[], Demo]) -> None:
    demo = make_demo()
    demo.crm = "mailchimp"
    demo.start()
    assert demo.facts["platform"] == {"alias": "mailchimp", "url": demo.place.platform}
    assert "Mailchimp" in demo.output
    # Everybody was brought over at the start, as they chose.
    until(lambda: len(believed(demo)) >= 15)
    page = requests.get(f"{demo.place.platform}/", timeout=10)
    assert "What it now believes" in page.text
    assert "calls were not as documented" not in page.text
    # Somebody unsubscribes by her link, and it is there.
    who = next(
        contact
        for contact in demo.facts["contacts"]
        if believed(demo).get(contact["email"], {}).get("status") == "subscribed"
    )
    answer = requests.post(who["one_click_url"], data={"List-Unsubscribe": "One-Click"}, timeout=20)
    assert answer.status_code == 200
    until(lambda: believed(demo)[who["email"]] != who and _differs(demo, who["email"]))
    # Somebody leaves over there, by a signed webhook, and it is here.
    other = next(
        contact
        for contact in demo.facts["contacts"]
        if believed(demo).get(contact["email"], {}).get("status") == "subscribed" and contact != who
    )
    answer = requests.post(f"{demo.place.platform}/leave", data={"who": other["email"]}, timeout=20)
    assert answer.status_code == 200, answer.text
    until(
        lambda: (
            "subscribed" not in {said.get("email") for said in demo.known()[other["id"]]["choices"].values()}
        )
    )


def _differs(demo: Demo, email: str) -> bool:
    """Whether the platform has heard of a no."""
    person = believed(demo)[email]
    return person["status"] == "unsubscribed" or "no" in person["topics"].values()

"""`manage.py prefs_demo`: the demo's content, its contacts with their history, and a newsletter to each of them."""

from __future__ import annotations

import argparse
import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from example_site import place as places
from example_site.demo import api_key, customer_site, newsletter, pages, people
from example_site.place import Place
from wagtail_prefs.centers.embed import NotBuilt
from wagtail_prefs.contacts.models import Contact


class Command(BaseCommand):
    help = (
        "Makes the demo's content and contacts; what is there already stays as it is. "
        "Sends each contact one newsletter, once."
    )

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument(
            "--json", action="store_true", help="print the demo's facts as JSON, and nothing else"
        )
        parser.add_argument(
            "--mail",
            action=argparse.BooleanOptionalAction,
            help="send the newsletter again to everybody, or (--no-mail) to nobody; else to those who have not had it",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        place = places.current()
        scene = pages.prepare(place)
        password = pages.make_editor()
        contacts = [people.live_through(scene, person) for person in people.people()]
        try:
            customer_site.write(scene, place)
        except NotBuilt as missing:
            raise CommandError(str(missing)) from missing
        facts = self._facts(place, scene, password, contacts)
        sent = self._mail(contacts, scene, place, options["mail"])
        if options["json"]:
            self.stdout.write(json.dumps(facts, indent=2))
            return
        self.stdout.write(f"{len(contacts)} contacts are ready; {sent} newsletters went out.")
        self.stdout.write(f"Site {facts['site']}, admin {facts['admin']['url']}")
        self.stdout.write(f"User {pages.EDITOR}, password {password}")

    def _mail(self, contacts: list[Contact], scene: pages.Scene, place: Place, wanted: bool | None) -> int:
        if wanted is False:
            return 0
        try:
            return newsletter.send(
                contacts, scene.centers["en"].translation_key, place.site, again=wanted is True
            )
        except OSError as error:
            problem = f"No mail server answers on port {place.smtp_port}: `make demo` starts one."
            if wanted:
                raise CommandError(problem) from error
            self.stderr.write(f"{problem} The newsletter goes out with its next start.")
            return 0

    def _facts(
        self, place: Place, scene: pages.Scene, password: str, contacts: list[Contact]
    ) -> dict[str, Any]:
        center = scene.centers["en"]
        people_facts = []
        for contact in contacts:
            links = newsletter.links(contact, center.translation_key)
            people_facts.append(
                {
                    "id": str(contact.pk),
                    "email": contact.email,
                    "manage_url": links.manage,
                    "embed_url": links.embed,
                    "one_click_url": links.one_click,
                }
            )
        return {
            "site": place.site,
            "customer_site": place.customer,
            "crm": place.crm,
            "admin": {"url": f"{place.site}/admin/", "user": pages.EDITOR, "password": password},
            "centers": [{"id": str(center.translation_key), "url": center.full_url, "slug": center.slug}],
            "api_key": api_key.load(scene.audience),
            "contacts": people_facts,
        }

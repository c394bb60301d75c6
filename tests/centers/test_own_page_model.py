"""A site with a base page model of its own takes the mixin: settings are read once, so it runs in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

SETTINGS = """
from tests.settings import *
WAGTAIL_PAGE_MODEL = "basepage.BasePage"
INSTALLED_APPS = ["ownsite", "wagtail.test.basepage", *INSTALLED_APPS]
DATABASES = {"default": {
    "ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:", "OPTIONS": {"transaction_mode": "IMMEDIATE"},
}}
"""
MODELS = """
from wagtail.test.basepage.models import BasePage
from wagtail_prefs.centers.mixins import PreferenceCenterMixin


class Choices(PreferenceCenterMixin, BasePage):
    content_panels = [*BasePage.content_panels, *PreferenceCenterMixin.center_panels]
"""
SCRIPT = """
import json
import django
django.setup()

from django.apps import apps
from django.core.management import call_command
from django.test import Client
from django.urls import reverse

assert not apps.get_app_config("wagtail_prefs").models.get("preferencecenterpage")
call_command("check", fail_level="WARNING")
call_command("makemigrations", "ownsite", verbosity=0)
call_command("makemigrations", "wagtail_prefs", check=True, dry_run=True, verbosity=0)
call_command("migrate", verbosity=0)

from django.contrib.auth import get_user_model
from ownsite.models import Choices
from wagtail.models import Locale, Site
from wagtail.test.basepage.models import BasePage
from wagtail_prefs.centers import services
from wagtail_prefs.topics.models import Topic, TopicText
from wagtail_prefs.topics.services import audience_for_site

english, _ = Locale.objects.get_or_create(language_code="en")
root = BasePage.objects.filter(depth=1).first() or BasePage.add_root(title="Root", slug="root", locale=english)
home = root.add_child(instance=BasePage(title="Home", slug="own-home", locale=english))
Site.objects.all().delete()
site = Site.objects.create(hostname="localhost", root_page=home, is_default_site=True)
audience = audience_for_site(site)
news = Topic.objects.create(audience=audience, key="news", channels=["email"])
TopicText.objects.create(topic=news, locale=english, label="News")
value = {"heading": "Topics", "topics": [news.pk], "channels": ["email"]}
page = home.add_child(
    instance=Choices(title="Choices", slug="choices", locale=english, body=[{"type": "topics", "value": value}])
)
page.save_revision().publish()
document = json.loads(services.current(page.translation_key).body)
assert document["blocks"][0]["controls"][0]["rows"][0]["label"] == "News"

news.texts.all().delete()
TopicText.objects.create(topic=news, locale=english, label="Fresh news")
services.forget(page.translation_key)
assert "Fresh news" in services.current(page.translation_key).body.decode()

client = Client()
assert client.get("/choices/").status_code == 200
client.force_login(get_user_model().objects.create_superuser("editor", "editor@brand.example", "password"))
assert client.get(reverse("wagtailadmin_pages:add", args=["ownsite", "choices", home.pk])).status_code == 200
assert client.get(reverse("wagtailadmin_pages:edit", args=[page.pk])).status_code == 200
assert client.get(reverse("wagtailsnippets_wagtail_prefs_topic:list")).status_code == 200
page.unpublish()
print("fine")
"""


def test_a_site_with_its_own_page_model_uses_the_mixin(tmp_path: Path) -> None:
    app = tmp_path / "ownsite"
    (app / "migrations").mkdir(parents=True)
    for package in (app, app / "migrations"):
        (package / "__init__.py").touch()
    (app / "models.py").write_text(MODELS)
    (tmp_path / "ownsettings.py").write_text(SETTINGS)
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        cwd=tmp_path,
        env={
            **{name: value for name, value in os.environ.items() if name != "DATABASE_URL"},
            "DJANGO_SETTINGS_MODULE": "ownsettings",
            "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)]),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.endswith("fine\n")
    frozen = (app / "migrations" / "0001_initial.py").read_text()
    assert "CenterStreamField(blank=True" in frozen
    assert "block_lookup" not in frozen

"""The extra `localize`: wagtail-localize translates a center segment by segment. It needs an app more than the tests'
site has, so it runs in a process of its own; where it is not installed, as on the second Python, there is nothing to run.
"""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

SETTINGS = """
from tests.settings import *
INSTALLED_APPS = ["wagtail_localize", *INSTALLED_APPS]
DATABASES = {"default": {
    "ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:", "OPTIONS": {"transaction_mode": "IMMEDIATE"},
}}
WAGTAIL_PREFS = {**WAGTAIL_PREFS, "CENTER_CACHE_SECONDS": 0}
"""
SCRIPT = """
import json
import django
django.setup()

from django.core.management import call_command

call_command("check", fail_level="WARNING")
call_command("migrate", verbosity=0)

from tests import factories
from wagtail_localize.models import StringSegment, StringTranslation, Translation, TranslationSource
from wagtail_prefs.centers import services

question = factories.block("question", {
    "heading": "", "help": "", "question": "Which colour?", "key": "colour", "purpose": "to know",
    "answer": [{"type": "one_of", "id": "a1", "value": {"personal": False, "options": [
        {"type": "item", "id": "o1", "value": {"key": "red", "label": "Red"}},
        {"type": "item", "id": "o2", "value": {"key": "blue", "label": "Blue"}},
    ]}}],
})
page = factories.make_center([*factories.all_blocks(factories.make_topics().values()), question])
german = factories.make_locale("de")
factories.make_site().root_page.copy_for_translation(german).save_revision().publish()

source, _ = TranslationSource.get_or_create_from_instance(page)
translation = Translation.objects.create(source=source, target_locale=german, enabled=True)
words = {segment.string.data for segment in StringSegment.objects.filter(source=source).select_related("string")}
asked = {"Your choices", "Topics", "Which colour?", "Red", "Blue", "These always come."}
assert asked | {"We use your address for <b>this</b> only."} <= words, words
# Names for machines, and what the server goes by, are nobody's to translate.
assert not words & {"privacy", "colour", "red", "blue", "email", "news"}, words

for segment in StringSegment.objects.filter(source=source).select_related("string", "context"):
    if segment.context.path != "slug":
        StringTranslation.objects.get_or_create(
            translation_of=segment.string, context=segment.context, locale=german,
            defaults={"data": f"{segment.string.data} (de)"},
        )
translation.save_target(publish=False)
assert services.current(page.translation_key, "de").locale == "en"  # nobody has published it
translation.save_target(publish=True)

english, translated = (json.loads(services.current(page.translation_key, code).body) for code in ("en", "de"))
assert translated["locale"] == "de" and translated["title"] == "Your choices (de)"
assert [block["id"] for block in translated["blocks"]] == [block["id"] for block in english["blocks"]]
topics, notice, colours = (translated["blocks"][place] for place in (0, 2, 5))
assert topics["heading"] == "Topics (de)"
assert topics["controls"][0]["rows"][0]["label"] == "Neues"  # of the topics library, which has texts of its own
assert '["b", {}, "this"], " only. (de)"' in json.dumps(notice), notice
(control,) = colours["controls"]
assert [(one["key"], one["label"]) for one in control["options"]] == [("red", "Red (de)"), ("blue", "Blue (de)")]

page.title = "Other words"
page.save_revision().publish()
assert json.loads(services.current(page.translation_key, "de").body)["title"] == "Your choices (de)"
print("fine")
"""

if find_spec("wagtail_localize"):

    def test_a_center_is_translated_segment_by_segment(tmp_path: Path) -> None:
        (tmp_path / "localized_settings.py").write_text(SETTINGS)
        result = subprocess.run(
            [sys.executable, "-c", SCRIPT],
            capture_output=True,
            text=True,
            check=False,
            cwd=tmp_path,
            env={
                **os.environ,
                "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}",
                "DJANGO_SETTINGS_MODULE": "localized_settings",
            },
        )
        assert result.returncode == 0, result.stderr
        assert result.stdout.splitlines()[-1] == "fine"

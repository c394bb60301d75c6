"""Every word that people see exists in each language, and every translation still belongs to a word."""

from __future__ import annotations

import gettext
import re
import shutil
import string
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import polib
import pytest

ROOT = Path(__file__).resolve().parents[1]
CATALOGUES = ROOT / "wagtail_prefs" / "locale"
#: English is what stands in the code. What nobody has read yet whose language it is says so.
LANGUAGES = ("ar", "de", "id", "ms", "ru")
MACHINE_MADE = {"ar", "id", "ms", "ru"}
TAG = re.compile(r"</?[a-z][^>]*>")
#: Messages in which `%` is a sign and no placeholder bear no flag of gettext's.
PLACEHOLDER = re.compile(r"%(?:\(\w+\))?[sdr%]")
#: The names of the numbers that choose a plural form.
NUMBERS = {
    "count",
    "crowds",
    "days",
    "everybody",
    "hours",
    "minutes",
    "number",
    "offered",
    "people",
    "queued",
    "shown",
    "tries",
}


def catalogue(language: str) -> polib.POFile:
    return polib.pofile(str(CATALOGUES / language / "LC_MESSAGES" / "django.po"))


@pytest.fixture(scope="module")
def wanted(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """All words of the package, as gettext finds them now."""
    package = tmp_path_factory.mktemp("words") / "wagtail_prefs"
    leave_out = shutil.ignore_patterns("__pycache__", "static", "locale", "migrations", "blocks")
    shutil.copytree(ROOT / "wagtail_prefs", package, ignore=leave_out)
    shutil.copytree(ROOT / "blocks", package / "blocks", ignore=leave_out)
    (package / "locale").mkdir()
    django_admin = Path(sys.executable).with_name("django-admin")
    subprocess.run([django_admin, "makemessages", "-l", "de", "-v0"], cwd=package, check=True)
    return {entry.msgid for entry in polib.pofile(str(package / "locale/de/LC_MESSAGES/django.po"))}


def test_there_is_a_catalogue_for_each_language() -> None:
    assert sorted(path.name for path in CATALOGUES.iterdir()) == sorted(LANGUAGES)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_catalogue_is_complete(language: str, wanted: set[str]) -> None:
    translated = {entry.msgid for entry in catalogue(language)}
    assert wanted - translated == set(), (
        f"docs/how-to/translate-wagtail-prefs.md, and translate these: {language}"
    )
    assert translated - wanted == set(), "these are not used any more"


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_translation_is_empty_or_a_guess(language: str) -> None:
    found = catalogue(language)
    assert [entry.msgid for entry in found if not entry.translated() or entry.obsolete] == []
    assert [entry.msgid for entry in found if "fuzzy" in entry.flags] == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_translation_holds_what_its_word_holds(language: str) -> None:
    """Placeholders, tags and the white space around it."""
    found = catalogue(language)
    alone = _for_one_number(found.metadata["Plural-Forms"])
    assert [(entry.msgid, text) for entry in found for text in _broken(entry, alone)] == []


def test_the_number_may_be_said_in_words_where_a_form_stands_for_one_number_alone() -> None:
    arabic, russian = (catalogue(one).metadata["Plural-Forms"] for one in ("ar", "ru"))
    assert _for_one_number(arabic) == {0, 1, 2}
    assert _for_one_number(russian) == set(), "one, 21 and 31 have the same form"

    in_words = dict(enumerate(["لا ساعات %(what)s", "ساعة %(what)s", "ساعتان %(what)s", *[HOURS] * 3]))
    assert list(_broken(_hours(in_words), {0, 1, 2})) == []
    assert list(_broken(_hours(in_words), set())) == [in_words[0], in_words[1], in_words[2]]


@pytest.mark.parametrize(
    ("form", "text"),
    [
        (3, "ساعات %(what)s"),  # three hours, or nine?
        (1, "%(hours)s ساعة"),
        (1, "ساعة"),
        (2, "ساعتان %(what)s %(other)s"),
        (0, " لا ساعات %(what)s"),
        (2, "<b>ساعتان %(what)s"),
    ],
)
def test_what_a_plural_form_loses_or_makes_up_is_found(form: int, text: str) -> None:
    entry = _hours(dict.fromkeys(range(6), HOURS) | {form: text})
    assert list(_broken(entry, {0, 1, 2})) == [text]


@pytest.mark.parametrize("language", sorted(LANGUAGES))
def test_what_a_machine_wrote_says_so(language: str) -> None:
    found = catalogue(language)
    assert ("Machine translation, open for review" in found.header) == (language in MACHINE_MADE)
    assert (found.metadata.get("X-Translation") == "machine") == (language in MACHINE_MADE)


HOURS = "%(hours)s ساعة %(what)s"


def _hours(forms: dict[int, str]) -> polib.POEntry:
    return polib.POEntry(
        msgid="%(hours)s hour %(what)s", msgid_plural="%(hours)s hours %(what)s", msgstr_plural=forms
    )


def _for_one_number(plural_forms: str) -> set[int]:
    """The plural forms that stand for one number alone, such as the German first and the Arabic first three."""
    form_of = gettext.c2py(plural_forms.partition("plural=")[2].rstrip(";"))
    numbers = Counter(form_of(number) for number in range(1000))
    return {form for form, count in numbers.items() if count == 1}


def _broken(entry: polib.POEntry, alone: set[int]) -> Iterator[str]:
    """The texts that lack something of their message, or have what it has not.

    A form for many numbers holds what the plural holds; one for a number `alone` may say that number in words.
    """
    whole = _parts(entry.msgid_plural or entry.msgid)
    placeholders, braces, tags = whole
    in_words = [([one for one in placeholders if one != f"%({number})s"], braces, tags) for number in NUMBERS]
    for form, text in entry.msgstr_plural.items() if entry.msgid_plural else [(-1, entry.msgstr)]:
        allowed = [whole, *in_words] if form in alone else [whole]
        if _parts(text) not in allowed or not _same_edges(entry.msgid, text):
            yield text


def _parts(text: str) -> tuple[list[str], list[str], list[str]]:
    try:
        named = sorted({name for _, name, _, _ in string.Formatter().parse(text) if name})
    except ValueError:  # a brace that is a brace
        named = []
    return sorted(set(PLACEHOLDER.findall(text))), named, sorted(TAG.findall(text))


def _same_edges(one: str, other: str) -> bool:
    return (one[:1].isspace(), one[-1:].isspace()) == (other[:1].isspace(), other[-1:].isspace())

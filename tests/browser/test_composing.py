"""An editor makes a center of every block out of an empty page, in three languages, and people use it.

What nobody can cause by hand is left to tests/centers/test_checks.py: a preset answer (`consent-preset`: no block of
ours has one), a sender that breaks a promise (`promise-broken`: the demo's ask before each message), a block that raises
(`not-compiled`).
"""

from __future__ import annotations

import re
from collections.abc import Callable

from django.utils import translation
from django.utils.translation import gettext
from playwright.sync_api import Locator, Page, expect

from tests.example_site.conftest import Demo, Json, until
from wagtail_prefs.blocks.registry import block_classes

from .center import LEAVE, box, button, form_only, heading, status
from .composing import (
    ALWAYS,
    HEADINGS,
    INSECURE,
    NOTICE,
    PURPOSE,
    REASON,
    SECURE,
    SLUG,
    TITLE,
    TOPICS,
    WORDS,
    add_words,
    block_ids,
    checks,
    choose_parent,
    code,
    compose,
    field,
    found,
    link,
    part,
    pick,
    publish,
    save_draft,
    say,
    show_on,
    stopped,
    translate,
    try_to_publish,
    write,
    write_in,
)
from .conftest import Visitor
from .inside import Inside
from .test_editor import frame, sign_in
from .test_embedded import Watched

#: What the demo calls its languages.
LANGUAGES = {"en": "English", "de": "Deutsch", "ar": "العربية"}
#: What the demo calls two of its topics.
DEMO = {
    "Repair evenings": {"de": "Reparaturabende"},
    "Group rides": {"de": "Gemeinsame Ausfahrten"},
}
SAVED = "Your choices are saved."
RIDES = "Group rides"
HOME = "Copperlane Cycle Co-op"


def said(text: str, locale: str) -> str:
    """A text in a language: the editor's, the demo's, or the plugin's own."""
    theirs = {
        **WORDS.get(text, {}),
        **DEMO.get(text, {}),
        **({"ar": TOPICS["Topics"][text]} if text in TOPICS["Topics"] else {}),
    }
    if locale == "en" or locale in theirs:
        return theirs.get(locale, text)
    with translation.override(locale):
        return gettext(text)


def test_a_center_of_every_block_from_an_empty_page_to_the_crm(
    demo: Demo, inside: Inside, watched: Watched, visitor: Visitor, crm_knows: Callable[..., None]
) -> None:
    desk, _ = watched(viewport={"width": 1440, "height": 1000})
    sign_in(demo, desk)
    choose_parent(desk, HOME)
    entitle(desk, TITLE)
    show_on(desk, host_page(demo, "en"))

    blocks = mend_one_by_one(desk)
    assert set(blocks) == set(block_classes())
    edit = desk.url.partition("#")[0]
    preview_as_three(desk, inside)
    overrule_and_publish(desk, blocks["question"])
    desk.goto(edit)
    build_host_page(demo, "en", code(desk))

    into_german(demo, desk, edit, blocks)
    into_arabic(demo, desk, edit, blocks)

    for locale in LANGUAGES:
        center = inside.ask("center", slug=SLUG, locale=locale)
        assert center["locale"] == locale
        assert center["blocks"] == blocks
        page, watch = watched()
        use(demo, page, visitor(locale, center["id"]), locale, blocks, crm_knows)
        assert watch.complaints == []


def entitle(page: Page, title: str) -> None:
    """Wagtail makes the slug of the title, once its scripts are there; without one a page has no place yet."""
    page.wait_for_load_state("networkidle")
    box = page.get_by_role("textbox", name="Title")
    box.click()
    page.keyboard.insert_text(title)
    box.blur()
    expect(page.locator("#id_slug")).to_have_value(re.compile("."))


# --- the editor ------------------------------------------------------------------------------------------------------


def mend_one_by_one(page: Page) -> dict[str, str]:
    """Every block, in an order in which each check has something to say; {name: id}. One warning is left."""
    blocks: dict[str, str] = {}

    def put(name: str) -> Locator:
        blocks[name] = compose(page, name)
        return part(page, blocks[name])

    # What every center has. Nothing of it belongs to a block, so there is none to lead to.
    missing = ["unsubscribe-missing", "notice-missing", "transactional-missing"]
    try_to_publish(page)
    assert list(stopped(page)) == missing
    expect(stopped(page)["notice-missing"]).to_contain_text("Add the block “Privacy notice”")
    save_draft(page)
    put("unsubscribe_all")
    try_to_publish(page)
    assert list(stopped(page)) == missing[1:]
    put("privacy_notice")
    try_to_publish(page)
    assert list(stopped(page)) == missing[2:]

    # All others, some of them with a fault.
    say(page, put("transactional"), "text", "")
    pick(put("frequency"), "channels", ["Phone"])
    link(page, put("rich_text"), "text", INSECURE)
    write(put("question"), "Purpose", "")
    for name in block_classes():
        if name not in blocks:
            put(name)
    assert block_ids(page) == list(blocks.values())
    try_to_publish(page)
    findings = stopped(page)
    faults = {"text-missing", "promise-unsent", "link-insecure", "question-purpose"}
    assert set(findings) == faults, checks(page).inner_text()
    frequency, text, always = (
        part(page, blocks[name]) for name in ("frequency", "rich_text", "transactional")
    )
    leads_to(findings["text-missing"], "“In any case” is empty", always)
    leads_to(findings["promise-unsent"], "nobody is named who sends that", field(frequency, "channels"))
    leads_to(findings["link-insecure"], INSECURE, field(text, "text"))
    save_draft(page)

    pick(frequency, "channels", [])
    try_to_publish(page)
    assert set(stopped(page)) == faults - {"promise-unsent"}
    say(page, text, "text", "Because you asked.")
    link(page, text, "text", SECURE)
    try_to_publish(page)
    assert set(stopped(page)) == {"text-missing", "question-purpose"}
    say(page, always, "text", ALWAYS)
    save_draft(page)
    return blocks


def leads_to(finding: Locator, text: str, place: Locator) -> None:
    """What stops a page says why, in words; its link shows the block; the words stand beside the field as well."""
    expect(finding).to_contain_text(text)
    finding.get_by_role("link", name="Go to the block").click()
    expect(place).to_be_in_viewport()
    expect(place).to_contain_text(text)


def preview_as_three(page: Page, inside: Inside) -> None:
    """As somebody new, subscribed and gone; what each would do is told, and leaves no trace."""
    until(lambda: inside.ask("settled"))
    before = inside.ask("counted"), inside.ask("fingerprint")
    button(page, "Toggle preview").click()
    panel = frame(page)
    expect(
        panel.get_by_role("heading", name=TITLE, exact=True)
    ).to_be_visible()  # before that, a pick is lost
    rides = panel.get_by_role("checkbox", name=f"{RIDES} E-mail", exact=True)

    def become(person: str) -> None:
        page.get_by_role("combobox", name="Preview mode").select_option(label=person)
        expect(panel.get_by_text(person, exact=True)).to_be_visible()
        expect(panel.get_by_role("banner")).to_be_visible()  # she sees the site's page

    def press(name: str, *told: str) -> None:
        panel.get_by_role("button", name=name, exact=True).click()
        expect(panel.get_by_role("heading", name="What would happen", exact=True)).to_be_visible()
        expect(panel.get_by_role("status")).to_contain_text("Nothing was saved and nothing was sent.")
        for text in told:
            expect(panel.get_by_role("main")).to_contain_text(text)
        for backend in ("database", "crm"):
            expect(panel.get_by_role("heading", name=backend, exact=True)).to_be_visible()

    become("Somebody new: nothing chosen yet")
    expect(rides).not_to_be_checked()
    rides.check()
    press("Save my choices", "choice:rides:email", "nothing → subscribed")

    become("Subscribed to everything")
    expect(rides).to_be_checked()
    rides.uncheck()
    press("Save my choices", "choice:rides:email", "subscribed → unsubscribed", "carries a no: it goes first")

    become("Unsubscribed from everything")
    expect(panel.get_by_text(REASON)).to_be_visible()
    press("Let me choose again", "opted_out", "true → false")

    button(page, "Toggle preview").click()
    assert (inside.ask("counted"), inside.ask("fingerprint")) == before


def overrule_and_publish(page: Page, question: str) -> None:
    """The warning that is left stops it until somebody says why it may stay."""
    try_to_publish(page)
    findings = stopped(page)
    assert set(findings) == {"question-purpose"}
    findings["question-purpose"].get_by_role("link", name="Go to the block").click()
    expect(field(part(page, question), "purpose")).to_be_in_viewport()
    anyway = page.get_by_role("checkbox", name="Publish all the same")
    anyway.check()
    try_to_publish(page)
    assert set(stopped(page)) == {"question-purpose"}
    expect(page.get_by_text("Say why.", exact=True).first).to_be_visible()
    expect(anyway).to_be_checked()
    page.get_by_role("textbox", name="Reason", exact=True).fill("The question says what it is for.")
    publish(page)


# --- other languages -------------------------------------------------------------------------------------------------


def into_german(demo: Demo, page: Page, edit: str, blocks: dict[str, str]) -> None:
    translate(page, edit, LANGUAGES["de"])
    address = page.url.partition("#")[0]
    assert address != edit
    write_in(page, "de")
    # What was overruled on one page is not overruled on another.
    write(part(page, blocks["question"]), "Purpose", said(PURPOSE, "de"))
    show_on(page, host_page(demo, "de"))
    try_to_publish(page)
    # What people must be told is still in English: nobody who reads this page would have been told.
    findings = found(page)
    assert {name for name, _line in findings} == {"notice-untranslated"}
    assert len(findings) == 2
    leads_to(
        findings[0][1], "has the same words as on the page in English", part(page, blocks["privacy_notice"])
    )
    tell_in(page, blocks, "de")
    publish(page)
    page.goto(address)
    build_host_page(demo, "de", code(page))


def tell_in(page: Page, blocks: dict[str, str], language: str) -> None:
    """The notices, in the language of the page."""
    say(page, part(page, blocks["privacy_notice"]), "content", said(NOTICE, language))
    say(page, part(page, blocks["transactional"]), "text", said(ALWAYS, language))


def into_arabic(demo: Demo, page: Page, edit: str, blocks: dict[str, str]) -> None:
    """The home page goes before; and it cannot go out before the topics have words."""
    translate(page, edit, LANGUAGES["ar"])
    address = page.url.partition("#")[0]
    write_in(page, "ar")
    write(part(page, blocks["question"]), "Purpose", said(PURPOSE, "ar"))
    tell_in(page, blocks, "ar")
    show_on(page, host_page(demo, "ar"))
    try_to_publish(page)
    findings = found(page)
    assert {name for name, _line in findings} == {"topic-untranslated", "group-untranslated"}
    told = "The topic “Group rides” has no words in this page's language"
    line = next(line for _name, line in findings if told in line.inner_text())
    leads_to(line, told, field(part(page, blocks["topics"]), "topics"))
    save_draft(page)

    for where, words in TOPICS.items():
        for name, word in words.items():
            add_words(page, where, name, LANGUAGES["ar"], word)
    page.goto(address)
    publish(page)
    page.goto(address)
    build_host_page(demo, "ar", code(page))


# --- people ----------------------------------------------------------------------------------------------------------


def host_page(demo: Demo, locale: str) -> str:
    """A page of the customer's site of its own, for each language."""
    return f"{demo.place.customer}/{SLUG}/{locale}/"


def build_host_page(demo: Demo, locale: str, snippet: str) -> None:
    """What the customer's webmaster does with the code that she was given."""
    assert f'locale="{locale}"' in snippet
    file = demo.folder / "customer" / SLUG / locale / "index.html"
    file.parent.mkdir(parents=True)
    file.write_text(
        f'<!doctype html><html lang="{locale}"><meta charset="utf-8"><link rel="icon" href="/wheel.svg">'
        f"<title>{TITLE}</title><main>{snippet}</main></html>"
    )


def use(
    demo: Demo,
    page: Page,
    person: Json,
    locale: str,
    blocks: dict[str, str],
    crm_knows: Callable[..., None],
) -> None:
    """Choose something on the own page, and something else in the element; then leave, and be asked why."""
    direction = "rtl" if locale == "ar" else "ltr"
    form_only(page)
    page.goto(person["manage_url"])
    expect(page.locator("html")).to_have_attribute("dir", direction)
    sees_every_block(page, locale, {name: page.locator(f"section.pc-{name}") for name in blocks})
    box(page, said("Repair evenings", locale), said("E-mail", locale)).check()
    save(page, locale)

    page.goto(person["embed_url"])
    expect(page).to_have_url(host_page(demo, locale))
    element = page.locator("preference-center")
    expect(element.locator("form")).to_have_attribute("dir", direction)
    sections = {
        name: element.locator("section").filter(has=page.locator(f"[id^='{block_id}.']"))
        for name, block_id in blocks.items()
    }
    sees_every_block(page, locale, sections)
    expect(box(page, said("Repair evenings", locale), said("E-mail", locale))).to_be_checked()
    box(page, said(RIDES, locale), said("E-mail", locale)).uncheck()
    page.get_by_role("radio", name=said("In the evening", locale), exact=True).check()
    save(page, locale)
    crm_knows(
        person,
        lambda known: (
            known["choices"]["rides"] == {"email": "unsubscribed"}
            and known["choices"]["repair-evenings"] == {"email": "subscribed"}
        ),
    )

    # The reason is asked for by both, after she has left.
    button(page, said(LEAVE, locale)).click()
    expect(page.get_by_text(said(REASON, locale))).to_be_visible()
    crm_knows(person, lambda known: known["opted_out"])
    page.goto(person["manage_url"])
    expect(page.get_by_text(said(REASON, locale))).to_be_visible()
    expect(page.get_by_role("radio", name=said("In the evening", locale), exact=True)).to_be_checked()


def sees_every_block(page: Page, locale: str, sections: dict[str, Locator]) -> None:
    expect(heading(page, said(TITLE, locale))).to_be_visible()
    for name, section in sections.items():
        if name == "reason":
            expect(page.get_by_text(said(REASON, locale))).not_to_be_visible()
        else:
            found = section.get_by_role("heading", name=said(HEADINGS[name], locale), exact=True)
            expect(found).to_be_visible()


def save(page: Page, locale: str) -> None:
    button(page, said("Save my choices", locale)).click()
    expect(status(page)).to_contain_text(said(SAVED, locale))

"""How an editor puts a center together: every block from the picker, filled in by its labels."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping

from playwright.sync_api import Locator, Page, expect

from wagtail_prefs.blocks.registry import block_classes

from .center import button

Words = Mapping[str, Mapping[str, str]]

TITLE = "All that we may send"
SLUG = "all-that-we-may-send"

#: What people must be told, in their language.
NOTICE, ALWAYS = "We use your address for what you choose here.", "Receipts come whatever you choose."

#: What the editor writes in English, and what it becomes. The keys are the values of text fields, as they stand.
WORDS: Words = {
    TITLE: {"de": "Alles, was wir schicken dürfen", "ar": "كل ما يمكننا إرساله"},
    "Pick your topics": {"de": "Wählen Sie Ihre Themen", "ar": "اختر مواضيعك"},
    "Ways to reach you": {"de": "So erreichen wir Sie", "ar": "طرق الوصول إليك"},
    "Your pace": {"de": "Ihr Tempo", "ar": "وتيرتك"},
    "A rest": {"de": "Eine Pause", "ar": "استراحة"},
    "Who you are": {"de": "Wer Sie sind", "ar": "من أنت"},
    "What do you do here?": {"de": "Was machen Sie hier?", "ar": "ماذا تفعل هنا؟"},
    "I ride": {"de": "Ich fahre", "ar": "أركب الدراجة"},
    "I mend": {"de": "Ich repariere", "ar": "أصلح الدراجات"},
    "Leave it all": {"de": "Alles hinter sich lassen", "ar": "ترك كل شيء"},
    "What made you leave?": {"de": "Warum gehen Sie?", "ar": "لماذا غادرت؟"},
    "Too much post": {"de": "Zu viel Post", "ar": "بريد كثير"},
    "About you": {"de": "Über Sie", "ar": "عنك"},
    "Your day": {"de": "Ihr Tag", "ar": "يومك"},
    "When do you ride?": {"de": "Wann fahren Sie?", "ar": "متى تركب؟"},
    "In the morning": {"de": "Am Morgen", "ar": "في الصباح"},
    "In the evening": {"de": "Am Abend", "ar": "في المساء"},
    "to plan what suits you": {"de": "um zu planen, was Ihnen gefällt", "ar": "لنخطط ما يناسبك"},
    "Your data with us": {"de": "Ihre Daten bei uns", "ar": "بياناتك لدينا"},
    "In any case": {"de": "In jedem Fall", "ar": "في كل الأحوال"},
    "Elsewhere": {"de": "Anderswo", "ar": "في أماكن أخرى"},
    "Why we write": {"de": "Warum wir schreiben", "ar": "لماذا نكتب"},
    "What you told us": {"de": "Was Sie uns gesagt haben", "ar": "ما أخبرتنا به"},
    NOTICE: {
        "de": "Wir nutzen Ihre Adresse für das, was Sie hier wählen.",
        "ar": "نستخدم عنوانك لما تختاره هنا فقط.",
    },
    ALWAYS: {"de": "Belege kommen, was auch immer Sie wählen.", "ar": "تصلك الإيصالات مهما كان اختيارك."},
}

#: Block -> the heading that people find it by. The reason shows its question, after somebody has left.
HEADINGS = {
    "topics": "Pick your topics",
    "channels": "Ways to reach you",
    "frequency": "Your pace",
    "pause": "A rest",
    "role": "Who you are",
    "unsubscribe_all": "Leave it all",
    "profile": "About you",
    "question": "Your day",
    "privacy_notice": "Your data with us",
    "transactional": "In any case",
    "follow_us": "Elsewhere",
    "rich_text": "Why we write",
    "history": "What you told us",
    "your_data": "Yours to take along",
}
#: What the demo's topics and groups are called in Arabic, by where their words are written.
TOPICS: Words = {
    "Topics": {"Group rides": "جولات جماعية", "Repair evenings": "أمسيات الإصلاح"},
    "Topic groups": {"Out on the road": "على الطريق", "Shop and workshop": "المتجر والورشة"},
}
REASON = "What made you leave?"
PURPOSE = "to plan what suits you"

INSECURE, SECURE = "http://copperlane.example/why", "https://copperlane.example/why"

#: The ids of the blocks of the page, in their order.
_IDS = """() => [...document.querySelectorAll('[data-contentpath="body"] section[id^="block-"]')]
  .filter((one) => !one.parentElement.closest('section[id^="block-"]'))
  .map((one) => one.id.slice('block-'.length, -'-section'.length))"""


def label_of(name: str) -> str:
    """What a block is called in the picker."""
    block = block_classes()[name]()
    block.set_name(name)
    return str(block.label)


def block_ids(page: Page) -> list[str]:
    ids: list[str] = page.evaluate(_IDS)
    return ids


def part(page: Page, block_id: str) -> Locator:
    """A block in the editor's form."""
    return page.locator(f"[id='block-{block_id}-section']")


def field(block: Locator, name: str) -> Locator:
    """A field of a block, with all that belongs to it."""
    return block.locator(f'[data-contentpath="{name}"]').first


def insert(page: Page, name: str) -> Locator:
    """Pick a block, which then stands below the others."""
    before = block_ids(page)
    page.locator('[data-contentpath="body"]').first.get_by_role(
        "button", name="Insert a block", exact=True
    ).last.click()
    page.get_by_role("option", name=label_of(name), exact=True).click()
    # An empty list of the block says so when it has been drawn.
    page.wait_for_function(f"count => ({_IDS})().length > count", arg=len(before))
    (made,) = set(block_ids(page)) - set(before)
    block = part(page, made)
    expect(block).to_be_visible()
    return block


def write(block: Locator, name: str, text: str, at: int = 0) -> None:
    block.get_by_role("textbox", name=re.compile(rf"^{re.escape(name)}\*?$")).nth(at).fill(text)


def pick(block: Locator, name: str, values: Iterable[str]) -> None:
    """Options of a list from which several can be picked, and no others."""
    field(block, name).locator("select").select_option(label=list(values))


def say(page: Page, block: Locator, name: str, text: str) -> None:
    """Put words into a rich text, in place of what stood there."""
    area = field(block, name).locator("[contenteditable=true]")
    area.click()
    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.press("Delete")  # else a link would stay one
    page.keyboard.insert_text(text)
    expect(area).to_have_text(text)
    _kept(block, name, text)


def link(page: Page, block: Locator, name: str, address: str) -> None:
    """Turn all of a rich text into a link."""
    field(block, name).locator("[contenteditable=true]").click()
    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.press("ControlOrMeta+k")
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("link", name="External link", exact=True).click()
    dialog.get_by_role("textbox", name="URL").fill(address)
    button(page, "Insert link").click()
    expect(dialog).to_have_count(0)
    _kept(block, name, address)


def _kept(block: Locator, name: str, text: str) -> None:
    """The editor of rich texts takes its time before what stands in it would be sent."""
    sent = field(block, name).locator(f"input[type=hidden][name$='-{name}']")
    expect(sent).to_have_value(re.compile(re.escape(text) if text else r'"text": ?""|^null$'))


def add(block: Locator, name: str) -> None:
    """One more item at the end of a list."""
    field(block, name).get_by_role("button", name="Add", exact=True).last.click()


def choose_topic(page: Page, block: Locator, topic: str) -> None:
    """In the first chooser of a block that is still empty."""
    block.get_by_role("button", name="Choose topic", exact=True).filter(visible=True).first.click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("link", name=topic, exact=True).click()
    expect(dialog).to_have_count(0)
    expect(block.get_by_text(topic, exact=True).first).to_be_visible()


# --- what each block needs -------------------------------------------------------------------------------------------


def _topics(page: Page, block: Locator) -> None:
    choose_topic(page, block, "Group rides")
    add(block, "topics")
    choose_topic(page, block, "Repair evenings")
    pick(block, "channels", ["E-mail"])


def _channels(page: Page, block: Locator) -> None:
    pick(block, "channels", ["E-mail", "Text message"])


def _frequency(page: Page, block: Locator) -> None:
    pick(block, "frequencies", ["At most one a week", "At most one a month"])


def _pause(page: Page, block: Locator) -> None:
    pick(block, "lengths", ["One week", "One month"])


def _role(page: Page, block: Locator) -> None:
    write(block, "Question", "What do you do here?")
    write(block, "Purpose", PURPOSE)
    _keyed(block, "roles", {"ride": "I ride", "mend": "I mend"})


def _reason(page: Page, block: Locator) -> None:
    write(block, "Question", REASON)
    write(block, "Purpose", PURPOSE)
    _keyed(block, "options", {"post": "Too much post"})
    block.get_by_role(
        "checkbox", name="Also ask for a few words"
    ).uncheck()  # more than ten questions are too many


def _profile(page: Page, block: Locator) -> None:
    for name in ("Given name", "Country"):
        field(block, "fields_asked").get_by_role("checkbox", name=name, exact=True).check()
    write(block, "Purpose", PURPOSE)


def _question(page: Page, block: Locator) -> None:
    write(block, "Question", "When do you ride?")
    write(block, "Key", "ride-time")
    write(block, "Purpose", PURPOSE)
    answer = field(block, "answer")
    answer.get_by_role("button", name="Insert a block", exact=True).last.click()
    page.get_by_role("option", name="One of several", exact=True).click()
    _keyed(answer, "options", {"morning": "In the morning", "evening": "In the evening"})


def _privacy_notice(page: Page, block: Locator) -> None:
    say(page, block, "content", NOTICE)


def _follow_us(page: Page, block: Locator) -> None:
    add(block, "links")
    links = field(block, "links")
    links.get_by_role("combobox", name="Where").select_option(label="Mastodon")
    write(links, "Address", "https://social.copperlane.example/@rides")


def _rich_text(page: Page, block: Locator) -> None:
    say(page, block, "text", "Because you asked.")


def _transactional(page: Page, block: Locator) -> None:
    say(page, block, "text", ALWAYS)


def _nothing(page: Page, block: Locator) -> None:
    """Its heading is enough."""


def _keyed(block: Locator, name: str, options: Mapping[str, str]) -> None:
    """Options with their keys; a list may have some empty ones already."""
    keys = field(block, name).get_by_role("textbox", name=re.compile(r"^Key\*?$"))
    for at, (key, label) in enumerate(options.items()):
        if keys.count() <= at:
            add(block, name)
        expect(keys.nth(at)).to_be_visible()
        keys.nth(at).fill(key)
        write(field(block, name), "Label", label, at)


FILL: Mapping[str, Callable[[Page, Locator], None]] = {
    "topics": _topics,
    "channels": _channels,
    "frequency": _frequency,
    "pause": _pause,
    "role": _role,
    "unsubscribe_all": _nothing,
    "reason": _reason,
    "profile": _profile,
    "question": _question,
    "privacy_notice": _privacy_notice,
    "transactional": _transactional,
    "follow_us": _follow_us,
    "rich_text": _rich_text,
    "history": _nothing,
    "your_data": _nothing,
}


def compose(page: Page, name: str) -> str:
    """Insert a block, write its heading, fill in what it needs; returns its id."""
    block = insert(page, name)
    if name in HEADINGS:
        write(block, "Heading", HEADINGS[name])
    FILL[name](page, block)
    return (block.get_attribute("id") or "").removeprefix("block-").removesuffix("-section")


# --- the page around the blocks --------------------------------------------------------------------------------------


def open_list(page: Page, name: str) -> None:
    """One of the lists in the menu."""
    button(page, "Preferences").click()
    page.get_by_role("list", name="Preferences").get_by_role("link", name=name, exact=True).click()


def choose_parent(page: Page, parent: str) -> None:
    """From the list of centers to an empty one below a page."""
    open_list(page, "Preference centers")
    page.get_by_role("link", name="Add preference center", exact=True).click()
    button(page, "Choose a page").click()
    page.get_by_role("dialog").get_by_role("link", name=parent, exact=True).first.click()
    button(page, "Create a new preference center").click()
    expect(page.get_by_role("textbox", name="Title")).to_be_visible()


def send(page: Page, name: str) -> None:
    """Press a button, and wait for the page that comes then.

    Where Wagtail was just saving by itself, it asks whether to go on in spite of the newer version.
    """
    page.evaluate("document.documentElement.dataset.before = ''")
    button(page, name).first.click()
    asked = page.get_by_role("dialog").filter(has_text="in another window")
    expect(
        page.locator("html:not([data-before])").or_(asked.get_by_role("button", name=name))
    ).to_be_visible()
    if asked.is_visible():
        asked.get_by_role("button", name=name).click()
        expect(page.locator("html:not([data-before])")).to_be_visible()


def publish(page: Page) -> None:
    button(page, "More actions").click()
    send(page, "Publish")
    done = re.compile("(has been|created and) published")
    expect(page.get_by_role("status").filter(has_text=done)).to_be_visible()


def save_draft(page: Page) -> None:
    send(page, "Save draft")
    expect(page.get_by_role("status").filter(has_text=re.compile("created|updated"))).to_be_visible()


def try_to_publish(page: Page) -> None:
    """Press the button, and be told why not."""
    button(page, "More actions").click()
    send(page, "Publish")
    expect(checks(page)).to_be_visible()
    saved_by_itself(page)


def saved_by_itself(page: Page) -> None:
    """Until Wagtail has saved what was refused: whoever pressed before would make the page a second time."""
    indicator = page.locator("#w-autosave-indicator")
    expect(indicator.get_by_text("Saving…")).to_be_hidden()
    done = indicator.get_by_text(re.compile(r"^\s*(Saved|Autosave is paused)\s*$"))
    expect(done.filter(visible=True).first).to_be_visible()


def checks(page: Page) -> Locator:
    return page.get_by_role("region", name="Before you publish")


def found(page: Page) -> list[tuple[str, Locator]]:
    """What stops the page, in its order: (code, its line)."""
    lines = checks(page).get_by_role("listitem").all()
    return [(line.locator("[data-finding]").get_attribute("data-finding") or "", line) for line in lines]


def stopped(page: Page) -> dict[str, Locator]:
    """The same by code; fails where one stands there twice."""
    lines = found(page)
    by_code = dict(lines)
    assert len(by_code) == len(lines), checks(page).inner_text()
    return by_code


def show_on(page: Page, address: str) -> None:
    """Name the page of another website that embeds the center."""
    panel = page.get_by_role("region", name="Embedding", exact=True)
    written = panel.get_by_role("textbox", name="Pages that show this center")
    if not written.is_visible():
        panel.get_by_role("button", name="Toggle section").click()
    written.fill(address)


def code(page: Page) -> str:
    """The code for another website, as the panel offers it."""
    panel = page.get_by_role("region", name="Code for other websites", exact=True)
    snippet = panel.get_by_role("textbox", name="Code for a page")
    if not snippet.is_visible():
        panel.get_by_role("button", name="Toggle section").click()
    return snippet.input_value()


# --- other languages -------------------------------------------------------------------------------------------------


def translate(page: Page, edit: str, language: str) -> None:
    """Copy a page into a language, and its parent before it where it must be; ends in the editor of the copy."""
    _ask_for_translation(page, edit)
    wanted = page.get_by_role("checkbox", name=language, exact=True)
    if wanted.is_disabled():
        page.get_by_role("link", name="Translate the parent page").click()
        _submit_translation(page, wanted)
        publish(page)
        _ask_for_translation(page, edit)
    _submit_translation(page, wanted)


def _ask_for_translation(page: Page, edit: str) -> None:
    page.goto(edit)
    page.get_by_role("navigation", name="Actions", exact=True).get_by_role("button").first.click()
    page.get_by_role("link", name="Translate", exact=True).click()


def _submit_translation(page: Page, language: Locator) -> None:
    language.check()
    button(page, "Submit").click()
    expect(button(page, "More actions")).to_be_visible()


def write_in(page: Page, language: str) -> None:
    """Replace every text of the form that has a translation."""
    texts = page.locator("input[type=text][id]:visible, textarea[id]:visible")
    written = texts.evaluate_all("all => all.map((one) => [one.id, one.value])")
    for name, text in written:
        if text in WORDS:
            page.locator(f"[id='{name}']").fill(WORDS[text][language])


def add_words(page: Page, where: str, name: str, language: str, word: str) -> None:
    """Write what a topic or a group is called in one more language."""
    open_list(page, where)
    page.get_by_role("link", name=name, exact=True).first.click()
    button(page, "Add language").click()
    words = page.get_by_role("region", name="in each language")
    words.get_by_role("combobox", name="Locale").last.select_option(label=language)
    words.get_by_role("textbox", name=re.compile(r"^(Name|Heading)\*?$")).last.fill(word)
    send(page, "Save")
    expect(page.get_by_role("status").filter(has_text="updated")).to_be_visible()

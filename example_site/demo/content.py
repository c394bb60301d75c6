"""What the demo says, in both languages. The co-op is invented."""

from __future__ import annotations

from dataclasses import dataclass

BRAND = "Copperlane Cycle Co-op"
#: What records of consent say of it: fields of its audience.
CONTROLLER: dict[str, str | list[str]] = {
    "controller_name": BRAND,
    "controller_address": "1 Copper Lane, Example Town",
    "controller_contact": "privacy@copperlane.example",
    "privacy_url": "https://copperlane.example/privacy",
    "data_locations": ["IE"],
    "recipients": ["Demo CRM"],
}


@dataclass(frozen=True, slots=True)
class Words:
    """One text in English and German."""

    en: str
    de: str

    def get(self, locale: str) -> str:
        return self.de if locale == "de" else self.en


@dataclass(frozen=True, slots=True)
class Group:
    key: str
    label: Words


@dataclass(frozen=True, slots=True)
class TopicContent:
    key: str
    group: str
    channels: tuple[str, ...]
    label: Words
    text: Words
    cadence: Words
    planned: tuple[int, str] | None = None  # so many, in each week, month, quarter or year


GROUPS = (
    Group("road", Words("Out on the road", "Unterwegs")),
    Group("shop", Words("Shop and workshop", "Laden und Werkstatt")),
)

TOPICS = (
    TopicContent(
        "rides",
        "road",
        ("email", "sms"),
        Words("Group rides", "Gemeinsame Ausfahrten"),
        Words("Routes, dates and where we meet", "Strecken, Termine und Treffpunkte"),
        Words("about once a week", "etwa einmal in der Woche"),
        (1, "week"),
    ),
    TopicContent(
        "routes",
        "road",
        ("email", "post"),
        Words("Tour of the month", "Tour des Monats"),
        Words(
            "One tour with a map, its distance and good places to stop",
            "Eine Tour mit Karte, Länge und guten Orten für eine Rast",
        ),
        Words("once a month", "einmal im Monat"),
        (1, "month"),
    ),
    TopicContent(
        "path-crew",
        "road",
        ("email", "sms"),
        Words("Path crew", "Wegepflege"),
        Words(
            "Days on which we clear and mend cycle paths together",
            "Tage, an denen wir zusammen Radwege freiräumen und ausbessern",
        ),
        Words("in spring and autumn", "im Frühling und im Herbst"),
    ),
    TopicContent(
        "offers",
        "shop",
        ("email", "sms", "post"),
        Words("Offers and used bikes", "Angebote und Gebrauchträder"),
        Words(
            "What is cheaper, and what came in second-hand", "Was günstiger ist und was gebraucht hereinkam"
        ),
        Words("twice a month at most", "höchstens zweimal im Monat"),
        (2, "month"),
    ),
    TopicContent(
        "repair-evenings",
        "shop",
        ("email",),
        Words("Repair evenings", "Reparaturabende"),
        Words(
            "Mend your own bike, with our tools and our help",
            "Das eigene Rad reparieren, mit unserem Werkzeug und unserer Hilfe",
        ),
        Words("once a month", "einmal im Monat"),
        (1, "month"),
    ),
    TopicContent(
        "service",
        "shop",
        ("email", "sms", "post"),
        Words("Service reminders", "Erinnerung an die Durchsicht"),
        Words(
            "A note when your bike is due for a check", "Eine Nachricht, wenn Ihr Rad zur Durchsicht sollte"
        ),
        Words("twice a year", "zweimal im Jahr"),
        (2, "year"),
    ),
)

CHANNELS = ("email", "sms", "post")
FREQUENCIES = ("as_it_happens", "weekly", "monthly", "quarterly")
PAUSES = ("P14D", "P1M", "P3M")
COUNTRIES = ("AT", "CH", "DE", "FR", "GB", "NL")

HOME_TITLE = Words("Copperlane Cycle Co-op", "Copperlane Fahrrad-Genossenschaft")
HOME_TAGLINE = Words(
    "More people on bikes. That is all we are after.", "Mehr Menschen aufs Rad. Mehr wollen wir nicht."
)
HOME_INTRO = Words(
    "<p>Copperlane is a bicycle shop that belongs to the people who ride. We sell, repair and lend bikes, and on Sundays "
    "we ride them together.</p>",
    "<p>Copperlane ist ein Fahrradladen, der denen gehört, die fahren. Wir verkaufen, reparieren und verleihen Räder, und "
    "sonntags fahren wir zusammen aus.</p>",
)
HOME_CARDS = (
    (
        Words("The workshop", "Die Werkstatt"),
        Words(
            "Bring your bike in by ten and ride it home at five. Small things we do while you wait.",
            "Bis zehn gebracht, um fünf wieder auf der Straße. Kleinigkeiten machen wir, während Sie warten.",
        ),
    ),
    (
        Words("Sunday rides", "Sonntags unterwegs"),
        Words(
            "Every Sunday, two speeds, one stop for coffee. Nobody is left behind.",
            "Jeden Sonntag, zwei Tempi, eine Kaffeepause. Niemand wird abgehängt.",
        ),
    ),
    (
        Words("Cargo bikes to lend", "Lastenräder zum Leihen"),
        Words(
            "For the shelf, the dog or the move: members borrow one for a day.",
            "Für das Regal, den Hund oder den Umzug: Mitglieder leihen eines für einen Tag.",
        ),
    ),
)

CENTER_TITLE = Words("Your post, your choice", "Ihre Post, Ihre Wahl")
CENTER_SLUG = Words("your-post", "ihre-post")

TOPICS_HEADING = Words("What may we write to you about?", "Worüber dürfen wir Ihnen schreiben?")
TOPICS_TEXT = Words(
    "<p>Tick what you would like to get, and how. You can change it whenever you like.</p>",
    "<p>Wählen Sie, was Sie bekommen möchten und auf welchem Weg. Sie können es jederzeit ändern.</p>",
)
FREQUENCY_HEADING = Words("How often?", "Wie oft?")
FREQUENCY_TEXT = Words(
    "<p>This is a limit. Where there is more to tell, it waits.</p>",
    "<p>Das ist eine Obergrenze. Gibt es mehr zu erzählen, wartet es.</p>",
)
PAUSE_HEADING = Words("Too much at the moment?", "Gerade zu viel?")
PAUSE_TEXT = Words(
    "<p>Take a rest from us. What you chose stays as it is, and the pause ends by itself.</p>",
    "<p>Machen Sie Pause von uns. Was Sie gewählt haben, bleibt, und die Pause endet von selbst.</p>",
)
PROFILE_HEADING = Words("About you, and how we talk", "Über Sie, und wie wir sprechen")
PROFILE_PURPOSE = Words(
    "to greet you by name, to write in your language and to keep to the law of your country",
    "um Sie mit Namen zu grüßen, in Ihrer Sprache zu schreiben und uns an das Recht Ihres Landes zu halten",
)
QUESTION_HEADING = Words("What do you ride?", "Was fahren Sie?")
QUESTION = Words("These stand in my hallway", "Das steht bei mir im Flur")
QUESTION_KEY = "bikes"
QUESTION_PURPOSE = Words(
    "to plan tours and repair evenings that suit your bikes",
    "um Touren und Reparaturabende zu planen, die zu Ihren Rädern passen",
)
BIKES = {
    "city": Words("A city bike", "Ein Stadtrad"),
    "touring": Words("A touring bike", "Ein Reiserad"),
    "cargo": Words("A cargo bike", "Ein Lastenrad"),
    "electric": Words("Something with a motor", "Etwas mit Motor"),
}
NOTICE_HEADING = Words("Your data", "Ihre Daten")
NOTICE_CONTENT = Words(
    "<p>We use your address and your number for what you choose here, and what you tell us about yourself for what stands "
    "beside it; for nothing else. We pass them on to nobody but the post and the companies that send our messages, on our "
    "orders.</p>",
    "<p>Wir verwenden Ihre Anschrift und Ihre Nummer für das, was Sie hier wählen, und was Sie über sich sagen, für das, "
    "was dabei steht; für nichts anderes. Wir geben sie nur an die Post und an die Firmen weiter, die in unserem Auftrag "
    "Nachrichten versenden.</p>",
)
TRANSACTIONAL_HEADING = Words("What always comes", "Was immer kommt")
TRANSACTIONAL_TEXT = Words(
    "<p>Receipts, news about a repair you left with us, and invitations to the members’ meeting are part of what you have "
    "with us. They come whatever you choose here.</p>",
    "<p>Rechnungen, Nachrichten zu Ihrer Reparatur und die Einladung zur Mitgliederversammlung gehören zu dem, was Sie mit "
    "uns vereinbart haben. Sie kommen, was immer Sie hier wählen.</p>",
)
LEAVE_HEADING = Words("Nothing any more?", "Gar nichts mehr?")
LEAVE_TEXT = Words(
    "<p>One press and we stop writing about rides, tours and offers, on every channel.</p>",
    "<p>Ein Klick, und wir schreiben nicht mehr über Ausfahrten, Touren und Angebote, auf keinem Weg.</p>",
)
LEAVE_BUTTON = Words("Unsubscribe from everything", "Alles abbestellen")
REASON_HEADING = Words("Before you ride off", "Bevor Sie losfahren")
REASON_QUESTION = Words("What was it?", "Woran lag es?")
REASON_PURPOSE = Words(
    "to write better to those who stay; you need not answer",
    "um denen besser zu schreiben, die bleiben; Sie müssen nicht antworten",
)
REASONS = {
    "too_many": Words("Too many messages", "Zu viele Nachrichten"),
    "not_for_me": Words("They were not about my kind of riding", "Es ging nicht um meine Art zu fahren"),
    "moved": Words("I live elsewhere now", "Ich wohne jetzt anderswo"),
    "other": Words("Something else", "Etwas anderes"),
}
HISTORY_HEADING = Words("What you chose before", "Was Sie bisher gewählt haben")
HISTORY_TEXT = Words(
    "<p>Your last three changes, with a way to take them back.</p>",
    "<p>Ihre letzten drei Änderungen, und wie Sie sie zurücknehmen.</p>",
)
YOUR_DATA_HEADING = Words("Your data", "Ihre Daten")
YOUR_DATA_TEXT = Words(
    "<p>What we know of you is yours to see, and to take back.</p>",
    "<p>Was wir über Sie wissen, können Sie sehen und zurücknehmen.</p>",
)
FOLLOW_HEADING = Words("Meet us elsewhere", "Anderswo treffen Sie uns auch")
FOLLOW_TEXT = Words(
    "<p>No mail, no list: just look in.</p>", "<p>Keine Mail, keine Liste: einfach vorbeischauen.</p>"
)
FOLLOW_LINKS = (
    (
        "mastodon",
        "https://social.copperlane.example/@rides",
        Words("Rides on Mastodon", "Ausfahrten auf Mastodon"),
    ),
    (
        "community",
        "https://forum.copperlane.example/",
        Words("The members’ forum", "Das Forum der Mitglieder"),
    ),
)

CUSTOMER_TITLE = Words("Your post – Copperlane members", "Ihre Post – Copperlane-Mitglieder")
CUSTOMER_HEADING = Words("Members’ corner", "Mitgliederbereich")
CUSTOMER_INTRO = Words(
    "This is another website: plain files on another origin, with a strict Content Security Policy. The box below comes "
    "from the co-op’s Wagtail site.",
    "Das ist eine andere Website: einfache Dateien auf einem anderen Origin, mit strenger Content Security Policy. Der "
    "Kasten unten kommt von der Wagtail-Site der Genossenschaft.",
)
CUSTOMER_SIGN_UP = Words("Not on our list yet? Sign up", "Noch nicht dabei? Melden Sie sich an")
CUSTOMER_OTHER = Words("Auf Deutsch", "In English")
CUSTOMER_FOOT = Words(
    "Copperlane is made up for this demo. Its mail goes to",
    "Copperlane ist für diese Demo erfunden. Seine Post landet in der",
)
CUSTOMER_MAILBOX = Words("the demo’s mailbox", "Mailbox der Demo")

MAIL_SUBJECT = Words("This Sunday: along the old canal", "Diesen Sonntag: den alten Kanal entlang")
MAIL_GREETING = Words("Good morning,", "Guten Morgen,")
MAIL_TEXT = Words(
    "on Sunday we ride along the old canal: 34 km, flat, one stop for coffee. We meet at nine in front of the shop, and the "
    "pump stands outside from half past eight.",
    "am Sonntag fahren wir den alten Kanal entlang: 34 km, flach, eine Kaffeepause. Treffpunkt ist um neun vor dem Laden, "
    "die Pumpe steht ab halb neun draußen.",
)
MAIL_SIGNED = Words("Your Copperlane Cycle Co-op", "Ihre Copperlane Fahrrad-Genossenschaft")
MAIL_WHY = Words(
    "You get this mail because you are on the list of the co-op’s rides.",
    "Sie bekommen diese Mail, weil Sie auf der Liste unserer Ausfahrten stehen.",
)
MAIL_MANAGE = Words("Choose what we send you", "Wählen, was wir Ihnen schicken")
MAIL_MEMBERS = Words("The same in the members’ corner", "Dasselbe im Mitgliederbereich")
MAIL_LEAVE = Words("Unsubscribe from the rides", "Die Ausfahrten abbestellen")

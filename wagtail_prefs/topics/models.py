"""Audiences and topics. A topic is one row with a language-neutral key; its texts per locale are its children."""

from __future__ import annotations

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.utils.translation import get_language, gettext, gettext_lazy as _
from modelcluster.fields import ParentalKey
from modelcluster.models import ClusterableModel
from wagtail.admin.panels import FieldPanel, FieldRowPanel, InlinePanel, MultiFieldPanel
from wagtail.images import get_image_model_string
from wagtail.search import index

from ..blocks.words import CHANNEL_LABELS, in_order
from ..html import href_is_allowed
from ..values import CHANNELS
from .forms import KeyedForm, TopicForm, TopicGroupForm

#: Keys stand in forms, ledger records and CRM mappings; this is the set that all of them can carry.
key_validator = RegexValidator(
    r"^[a-z0-9_-]+\Z", _("Use lower-case letters, digits, hyphens and underscores.")
)


#: More messages than anybody plans, in any time: what is above is a slip of the finger.
MOST_PLANNED = 1000


def validate_sample(address: str) -> None:
    """A sample opens in the browser of whoever looks at a center, on https pages of others too."""
    if not href_is_allowed(address) or address.startswith(("mailto:", "tel:")):
        raise ValidationError(gettext("Give a full address beginning with https://"))


class Audience(models.Model):
    """The controller that contacts, topics, opt-outs and suppressions belong to; one per site by default."""

    key = models.CharField(_("key"), max_length=64, unique=True, validators=[key_validator])
    name = models.CharField(_("name"), max_length=255)
    site = models.OneToOneField(
        "wagtailcore.Site",
        verbose_name=_("site"),
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="+",
    )
    # What a record of consent must name of its controller (ISO/IEC TS 27560), and a person may ask.
    controller_name = models.CharField(
        _("legal name"),
        max_length=255,
        blank=True,
        db_default="",
        help_text=_("Who is responsible, as in a contract."),
    )
    controller_address = models.CharField(_("postal address"), max_length=500, blank=True, db_default="")
    controller_contact = models.CharField(
        _("contact for privacy"),
        max_length=255,
        blank=True,
        db_default="",
        help_text=_(
            "An e-mail address or a web address that people can turn to with questions about their data."
        ),
    )
    privacy_url = models.URLField(_("privacy notice"), max_length=1000, blank=True, db_default="")
    data_locations = models.JSONField(
        _("where data is stored"),
        default=list,
        blank=True,
        db_default=models.Value([], models.JSONField()),
        help_text=_("Codes of countries, for example DE."),
    )
    authority = models.CharField(
        _("supervisory authority"),
        max_length=255,
        blank=True,
        db_default="",
        help_text=_("To whom people may complain."),
    )
    recipients = models.JSONField(
        _("who else gets data"),
        default=list,
        blank=True,
        db_default=models.Value([], models.JSONField()),
        help_text=_("Companies that send or store for you."),
    )

    base_form_class = KeyedForm

    class Meta:
        verbose_name = _("audience")
        verbose_name_plural = _("audiences")

    def __str__(self) -> str:
        return self.name


def _label(owner: TopicGroup | Topic) -> str:
    """The owner's words in the editor's language, for lists and choosers; "" where it has none."""
    if owner.pk is None:
        return ""
    texts = list(owner.texts.all())
    language = get_language() or ""
    best = sorted(texts, key=lambda text: (text.locale.language_code != language, text.pk))
    return best[0].label if best else ""


class TopicGroup(ClusterableModel):
    """A heading that topics stand under, with its words per locale."""

    audience = models.ForeignKey("wagtail_prefs.Audience", on_delete=models.PROTECT, related_name="groups")
    key = models.CharField(_("key"), max_length=64, validators=[key_validator])
    sort_order = models.PositiveIntegerField(_("order"), default=0)

    base_form_class = TopicGroupForm
    panels = [
        InlinePanel("texts", heading=_("Heading in each language"), label=_("language"), min_num=1),
        MultiFieldPanel(
            [FieldRowPanel([FieldPanel("key"), FieldPanel("sort_order")]), FieldPanel("audience")],
            heading=_("Settings"),
        ),
    ]

    class Meta:
        verbose_name = _("topic group")
        verbose_name_plural = _("topic groups")
        ordering = ["sort_order", "key"]
        constraints = [models.UniqueConstraint(fields=["audience", "key"], name="prefs_group_key")]

    def __str__(self) -> str:
        return _label(self) or self.key


class TopicGroupText(models.Model):
    """The heading in one locale."""

    group = ParentalKey("wagtail_prefs.TopicGroup", on_delete=models.CASCADE, related_name="texts")
    locale = models.ForeignKey("wagtailcore.Locale", on_delete=models.PROTECT, related_name="+")
    label = models.CharField(_("heading"), max_length=255)

    panels = [FieldRowPanel([FieldPanel("locale"), FieldPanel("label")])]

    class Meta:
        constraints = [models.UniqueConstraint(fields=["group", "locale"], name="prefs_group_text")]

    def __str__(self) -> str:
        return self.label


class Topic(index.Indexed, ClusterableModel):
    """What messages are about. Its key never changes meaning: ledger records and CRM mappings name it."""

    class Basis(models.TextChoices):
        CONSENT = "consent", _("Consent")
        SOFT_OPT_IN = "soft_opt_in", _("Existing customer (soft opt-in)")
        LEGITIMATE_INTEREST = "legitimate_interest", _("Legitimate interest")
        CONTRACT = "contract", _("Contract")

    class Per(models.TextChoices):
        WEEK = "week", _("week")
        MONTH = "month", _("month")
        QUARTER = "quarter", _("quarter")
        YEAR = "year", _("year")

    audience = models.ForeignKey(
        "wagtail_prefs.Audience", verbose_name=_("audience"), on_delete=models.PROTECT, related_name="topics"
    )
    key = models.CharField(
        _("key"),
        max_length=64,
        validators=[key_validator],
        help_text=_("Names this topic in links, records and CRM mappings. It cannot be changed later."),
    )
    group = models.ForeignKey(
        "wagtail_prefs.TopicGroup",
        verbose_name=_("group"),
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="topics",
    )
    sort_order = models.PositiveIntegerField(_("order"), default=0)
    channels = models.JSONField(
        _("channels"), default=list, help_text=_("How messages of this topic can come.")
    )
    frequencies = models.JSONField(
        _("frequencies"),
        default=list,
        blank=True,
        help_text=_("From which people pick how often this topic may come. None: they are not asked."),
    )
    picture = models.ForeignKey(
        get_image_model_string(),
        verbose_name=_("picture"),
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="+",
        help_text=_("Shown small beside the name, with the description of the image as its text."),
    )
    planned = models.PositiveIntegerField(
        _("planned messages"),
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(MOST_PLANNED)],
        help_text=_(
            "How many you mean to send at most, in the time beside. People read the sum over all that they get. Empty: "
            "they read that it comes, and no number."
        ),
    )
    planned_per = models.CharField(
        _("in each"), max_length=8, choices=Per.choices, default=Per.MONTH, db_default=Per.MONTH
    )
    #: As values.SendDays has them; the form makes them of boxes.
    planned_on = models.JSONField(_("planned days"), null=True, blank=True, editable=False)
    private = models.BooleanField(
        _("private"),
        default=False,
        help_text=_("Shown only to people who were invited to it, or who have been asked about it before."),
    )
    basis = models.CharField(_("legal basis"), max_length=32, choices=Basis.choices, default=Basis.CONSENT)
    transactional = models.BooleanField(
        _("always sent"),
        default=False,
        help_text=_("Receipts, security notices and the like: shown as always sent, cannot be switched off."),
    )
    shares_data = models.BooleanField(
        _("sells or shares data"),
        default=False,
        help_text=_(
            "Saying yes lets personal data go to others: a sale or sharing in the sense of Californian law. "
            "Browsers that send the signal “Global Privacy Control” say no to it."
        ),
    )
    kept_months = models.PositiveIntegerField(
        _("evidence is kept for"),
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(1200)],
        help_text=_(
            "Months after somebody said no, or her yes ended: so long it can be shown what she had chosen. Empty: as long "
            "as the site keeps people."
        ),
    )
    archived = models.BooleanField(
        _("archived"), default=False, help_text=_("Hidden everywhere; choices are kept.")
    )

    search_fields = [
        index.SearchField("key"),
        index.AutocompleteField("key"),
        index.FilterField("archived"),
        index.RelatedFields("texts", [index.SearchField("label"), index.AutocompleteField("label")]),
    ]
    base_form_class = TopicForm
    panels = [
        InlinePanel("texts", heading=_("Words in each language"), label=_("language"), min_num=1),
        FieldPanel("picture"),
        MultiFieldPanel(
            [
                FieldPanel("channels"),
                FieldPanel("frequencies"),
                FieldRowPanel([FieldPanel("planned"), FieldPanel("planned_per")]),
            ],
            heading=_("How it comes"),
        ),
        MultiFieldPanel(
            [
                FieldPanel("on_weekdays"),
                FieldPanel("on_weeks"),
                FieldPanel("on_dates"),
                FieldPanel("on_months"),
            ],
            heading=_("On which days"),
            help_text=_(
                "As many days as messages are planned, or none: then it comes some time. People read when the next one "
                "is planned, and editors see all of them in the send calendar."
            ),
        ),
        MultiFieldPanel(
            [
                FieldRowPanel([FieldPanel("key"), FieldPanel("sort_order")]),
                FieldPanel("group"),
                FieldPanel("audience"),
            ],
            heading=_("Place"),
        ),
        MultiFieldPanel(
            [
                FieldPanel("basis"),
                FieldPanel("transactional"),
                FieldPanel("private"),
                FieldPanel("shares_data"),
                FieldPanel("kept_months"),
            ],
            heading=_("Rules"),
        ),
    ]

    class Meta:
        verbose_name = _("topic")
        verbose_name_plural = _("topics")
        ordering = ["sort_order", "key"]
        constraints = [models.UniqueConstraint(fields=["audience", "key"], name="prefs_topic_key")]

    def __str__(self) -> str:
        return _label(self) or self.key

    @property
    def status_words(self) -> str:
        """What is special about it, for lists; most topics have nothing here."""
        words = [_("Always sent")] if self.transactional else []
        words += [_("Private")] if self.private else []
        words += [_("Archived")] if self.archived else []
        return ", ".join(str(word) for word in words)

    @property
    def channel_words(self) -> str:
        """The channels as people read them, for lists."""
        return ", ".join(str(CHANNEL_LABELS[channel]) for channel in in_order(self.channels, CHANNELS))


class TopicText(models.Model):
    """A topic's words in one locale."""

    topic = ParentalKey("wagtail_prefs.Topic", on_delete=models.CASCADE, related_name="texts")
    locale = models.ForeignKey("wagtailcore.Locale", on_delete=models.PROTECT, related_name="+")
    label = models.CharField(_("name"), max_length=255)
    text = models.CharField(
        _("what it is"), max_length=500, blank=True, help_text=_("One sentence: what she gets, and what for.")
    )
    benefit = models.CharField(
        _("what it is good for"),
        max_length=500,
        blank=True,
        help_text=_("One sentence: what people have from it."),
    )
    cadence = models.CharField(
        _("how often"),
        max_length=255,
        blank=True,
        help_text=_(
            'In plain words, for example "about one mail a week". Empty: said in words from the planned messages.'
        ),
    )
    sample = models.URLField(
        _("sample"),
        max_length=1000,
        blank=True,
        validators=[validate_sample],
        help_text=_("Address of a message as people get it. Linked below the topics of a center."),
    )

    panels = [
        MultiFieldPanel(
            [
                FieldRowPanel([FieldPanel("locale"), FieldPanel("label")]),
                FieldPanel("text"),
                FieldPanel("benefit"),
                FieldPanel("cadence"),
                FieldPanel("sample"),
            ]
        )
    ]

    class Meta:
        constraints = [models.UniqueConstraint(fields=["topic", "locale"], name="prefs_topic_text")]

    def __str__(self) -> str:
        return self.label


class TopicMerge(models.Model):
    """One topic that goes on as another: begun by somebody, carried over contact by contact, and then done.

    The loser is archived when it begins. `channel` and `after` name the last row of state that was looked at, so that
    a merge that was stopped - by a closed tab, or a restart - goes on where it was.
    """

    loser = models.ForeignKey("wagtail_prefs.Topic", on_delete=models.CASCADE, related_name="merges")
    winner = models.ForeignKey("wagtail_prefs.Topic", on_delete=models.CASCADE, related_name="merged_here")
    reason = models.CharField(_("reason"), max_length=500)
    started_at = models.DateTimeField(_("started"), auto_now_add=True)
    started_by = models.CharField(max_length=64, editable=False)  # as records name the actor
    channel = models.CharField(max_length=16, default="", blank=True, editable=False)
    after = models.UUIDField(null=True, editable=False)
    looked_at = models.PositiveBigIntegerField(default=0, editable=False)
    changed = models.PositiveBigIntegerField(default=0, editable=False)
    done_at = models.DateTimeField(_("done"), null=True, editable=False)

    wagtail_reference_index_ignore = True

    class Meta:
        verbose_name = _("merge of topics")
        verbose_name_plural = _("merges of topics")
        constraints = [
            models.UniqueConstraint(
                fields=["loser"], condition=models.Q(done_at=None), name="prefs_one_topic_merge"
            )
        ]

    def __str__(self) -> str:
        return f"{self.loser_id} {self.winner_id}"

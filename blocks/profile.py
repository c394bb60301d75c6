"""Name, address, phone, country, language: what a person tells of herself so that she can be written to properly."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from django.core.validators import RegexValidator
from django.forms import CheckboxSelectMultiple
from django.utils.translation import get_language_info, gettext, gettext_lazy as _
from wagtail.blocks import BooleanBlock, CharBlock, ListBlock, MultipleChoiceBlock, StructBlock
from wagtail.coreutils import get_content_languages

from ..changes import Change, ChangeAddress
from ..values import CompileContext, ContactState, Json, Spec
from .attributes import (
    SHORT,
    AttributeKeyBlock,
    CodeBlock,
    KeyedListBlock,
    PurposeBlock,
    answered,
    declared,
    held_key,
    held_text,
    said,
    with_purpose,
)
from .base import PreferenceBlock, control
from .countries import COUNTRY_NAMES, by_name, country_choices
from .fields import ADDRESS_LENGTH, PHONE_LENGTH, AddressField, AnyField, KeyField, PhoneField, TextField
from .words import ABOUT

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise

#: Attribute -> (label, what browsers call it: WCAG 2.2 criterion 1.3.5), in the order of the page.
FIELDS: dict[str, tuple[_StrPromise, str]] = {
    "given_name": (_("Given name"), "given-name"),
    "family_name": (_("Family name"), "family-name"),
    "street": (_("Street and number"), "address-line1"),
    "postcode": (_("Postcode"), "postal-code"),
    "city": (_("City"), "address-level2"),
    "region": (_("State or region"), "address-level1"),
    "country": (_("Country"), "country"),
    "phone": (_("Phone number"), "tel"),
    "language": (_("Language"), "language"),
}
#: What an editor ticks -> the attributes it brings.
PARTS: dict[str, tuple[_StrPromise, tuple[str, ...]]] = {
    "given_name": (_("Given name"), ("given_name",)),
    "family_name": (_("Family name"), ("family_name",)),
    "address": (_("Postal address: street, postcode, city"), ("street", "postcode", "city")),
    "region": (_("State or region"), ("region",)),
    "country": (_("Country"), ("country",)),
    "phone": (_("Phone number"), ("phone",)),
    "language": (_("Language"), ("language",)),
}
#: Facts that rules and words go by. They are picked from a list, and no secret of a forwarded mail.
PICKED = ("country", "language")
#: The control that asks for another address; its answer is no attribute.
ADDRESS = "email"


def part_choices() -> list[tuple[str, object]]:
    return [(name, label) for name, (label, _names) in PARTS.items()]


class CountryBlock(StructBlock):
    code = CodeBlock(
        label=_("Code"),
        max_length=2,
        validators=[RegexValidator(r"^[A-Z]{2}\Z", _("Two capital letters, as in DE."))],
        help_text=_("Two letters: the country's code in ISO 3166"),
    )
    name = CharBlock(label=_("Name"), max_length=100)

    class Meta:
        icon = "site"
        label = _("Country")


class OwnFieldBlock(StructBlock):
    key = AttributeKeyBlock()
    label = CharBlock(label=_("Label"), max_length=255)
    purpose = PurposeBlock()

    class Meta:
        icon = "edit"
        label = _("Field")


class ProfileBlock(PreferenceBlock):
    """Nothing has to be filled in, and everything can be taken back. Without a fresh link the values are masked."""

    fields_asked = MultipleChoiceBlock(
        choices=part_choices,
        required=False,
        label=_("Fields"),
        widget=CheckboxSelectMultiple,
        help_text=_("Ask for what you use, and for nothing else."),
    )
    purpose = PurposeBlock(
        help_text=_("What you use these fields for, in one sentence. People read it; the records keep it.")
    )
    countries = MultipleChoiceBlock(
        choices=country_choices,
        required=False,
        label=_("Countries"),
        help_text=_("From which people pick theirs. None chosen: all of this list."),
    )
    more_countries = ListBlock(
        CountryBlock(),
        label=_("More countries"),
        default=[],
        help_text=_("What the list above does not have, or names otherwise."),
    )
    own_fields = KeyedListBlock(
        OwnFieldBlock, label=_("Fields of your own"), default=[], help_text=_("One line of text each.")
    )
    change_address = BooleanBlock(
        required=False,
        label=_("Let people change their e-mail address"),
        help_text=_("The new address counts after a mail to it was answered, and the old one is told."),
    )

    class Meta:
        icon = "user"
        label = _("Profile")
        group = ABOUT
        description = _("Name, postal address, phone, country, language, and fields of your own.")
        label_format = "{heading}"

    def compile(self, value: Mapping[str, Any], ctx: CompileContext, block_id: str) -> Spec:
        purpose = value.get("purpose") or ""
        names = _names(value.get("fields_asked"))
        own = _own_fields(value.get("own_fields"))
        countries, languages = _countries(value) if "country" in names else [], _languages()
        controls = [_control(name, {"country": countries, "language": languages}) for name in names]
        controls += [
            _text(item["key"], item["label"], with_purpose("", item.get("purpose") or ""))
            for item in own.values()
        ]
        changes_address = bool(value.get("change_address")) and ctx.changes_address
        if changes_address:
            controls.append(_new_address())
        attributes = {
            name: declared(str(FIELDS[name][0]), purpose, personal=name not in PICKED) for name in names
        }
        attributes |= {
            key: declared(item["label"], item.get("purpose") or "", personal=True)
            for key, item in own.items()
        }
        paths = {f"attribute:{name}": (name, said_of["label"]) for name, said_of in attributes.items()}
        if changes_address:
            paths["address:email"] = (ADDRESS, controls[-1]["label"])
        document = self.document(value, ctx, block_id, controls)
        if purpose and names:  # once, not under every field
            document["text"] = [*document["text"], ["p", {}, with_purpose("", purpose)]]
        return Spec(
            block_id=block_id,
            type=self.name,
            document=document,
            rules={
                "attributes": attributes,
                "keys": {
                    one["name"]: [option["key"] for option in one["options"]]
                    for one in controls
                    if one["type"] == "select"
                },
                "changes_address": changes_address,
            },
            paths=paths,
        )

    @classmethod
    def fields(cls, spec: Spec) -> dict[str, AnyField]:
        fields: dict[str, AnyField] = {
            name: _field(name, spec.rules["keys"]) for name in spec.rules["attributes"]
        }
        if spec.rules["changes_address"]:
            fields[ADDRESS] = AddressField(allow_null=True)
        return fields

    @classmethod
    def initial(cls, spec: Spec, state: ContactState) -> Json:
        keys = spec.rules["keys"]
        # The new address is asked for, never shown: the present one stands at the head of the page.
        return answered(
            {
                name: held_key(state, name, keys[name]) if name in keys else held_text(state, name)
                for name in spec.rules["attributes"]
            }
        )

    @classmethod
    def changes(cls, spec: Spec, answers: Mapping[str, Any]) -> list[Change]:
        found: list[Change] = [said(name, value) for name, value in answers.items() if name != ADDRESS]
        if answers.get(ADDRESS):
            found.append(ChangeAddress(answers[ADDRESS]))
        return found

    def problems(self, value: Mapping[str, Any]) -> dict[str, Any]:
        taken = [item["key"] for item in value.get("own_fields") or () if item["key"] in {*FIELDS, ADDRESS}]
        if taken:
            return {
                "own_fields": gettext("“%(key)s” is the key of a field above. Choose another one.")
                % {"key": taken[0]}
            }
        if not (value.get("fields_asked") or value.get("own_fields") or value.get("change_address")):
            return {"fields_asked": gettext("Choose at least one field.")}
        return {}

    def get_preview_value(self) -> Any:
        return self.normalize(
            {
                "heading": gettext("About you"),
                "text": "",
                "fields_asked": ["given_name", "family_name", "country", "language"],
                "purpose": gettext("to write to you by your name and in your language"),
                "countries": ["AT", "CH", "DE"],
                "more_countries": [],
                "own_fields": [],
                "change_address": False,
                "conditions": [],
            }
        )


def _names(parts: Any) -> list[str]:
    """The attributes asked for, in the order of the page."""
    wanted = {name for part in parts or () if part in PARTS for name in PARTS[part][1]}
    return [name for name in FIELDS if name in wanted]


def _own_fields(items: Iterable[Mapping[str, Any]] | None) -> dict[str, Mapping[str, Any]]:
    """By key, without what a draft may hold: half a field, or the key of another one."""
    return {
        item["key"]: item
        for item in items or ()
        if item.get("key") and item.get("label") and item["key"] not in {*FIELDS, ADDRESS}
    }


def _countries(value: Mapping[str, Any]) -> list[tuple[str, str]]:
    codes = value.get("countries") or COUNTRY_NAMES
    named = {code: str(COUNTRY_NAMES[code]) for code in codes if code in COUNTRY_NAMES}
    named |= {
        item["code"]: item["name"]
        for item in value.get("more_countries") or ()
        if item.get("code") and item.get("name")
    }
    return by_name(named.items())


def _languages() -> list[tuple[str, str]]:
    """The site's languages, each under its own name: that is the one its readers know."""
    found = []
    for code, name in get_content_languages().items():
        try:
            own = get_language_info(code)["name_local"]
        except KeyError:
            own = str(name)
        found.append((code, own[:1].upper() + own[1:]))
    return found


def _control(name: str, picks: Mapping[str, list[tuple[str, str]]]) -> Json:
    label, token = FIELDS[name]
    if name in picks:
        options = [{"key": key, "label": text, "help": ""} for key, text in picks[name]]
        return control("select", name, label, options=options, constraints={"autocomplete": token})
    if name == "phone":
        hint = gettext("With the code of the country, for example +49 30 123456.")
        return _text(name, label, hint, kind="tel", max_length=PHONE_LENGTH, autocomplete=token)
    return _text(name, label, autocomplete=token)


def _text(
    name: str,
    label: object,
    hint: str = "",
    *,
    kind: str = "plain",
    max_length: int = SHORT,
    autocomplete: str = "",
) -> Json:
    limits: Json = {"max_length": max_length}
    if autocomplete:
        limits["autocomplete"] = autocomplete
    return control("text", name, label, help=hint, format=kind, constraints=limits, personal=True)


def _new_address() -> Json:
    hint = gettext("We send a mail to the new address. It counts as soon as you have opened the link in it.")
    asked = _text(
        ADDRESS,
        gettext("New e-mail address"),
        hint,
        kind="email",
        max_length=ADDRESS_LENGTH,
        autocomplete="email",
    )
    return {**asked, "of_contact": True}  # who signs up gives hers beside the button


def _field(name: str, keys: Mapping[str, list[str]]) -> AnyField:
    if name in keys:
        return KeyField(keys[name], allow_null=True)
    return PhoneField(allow_null=True) if name == "phone" else TextField(SHORT, allow_null=True)

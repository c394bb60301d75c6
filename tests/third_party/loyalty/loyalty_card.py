"""A loyalty card: its number, and what its points become."""

import re

from wagtail import blocks

from wagtail_prefs.blocks.attributes import (
    PurposeBlock,
    answered,
    declared,
    held_key,
    held_text,
    said,
    with_purpose,
)
from wagtail_prefs.blocks.base import PreferenceBlock, control
from wagtail_prefs.blocks.fields import KeyField, TextField
from wagtail_prefs.values import Spec

NUMBER, POINTS = "loyalty_card", "loyalty_points"
POINTS_BECOME = {"vouchers": "Vouchers for me", "trees": "Trees"}


class CardNumberField(TextField):
    """Twelve digits, the last of which checks the others; blanks between them do not matter. "" takes it back."""

    default_error_messages = {"number": "Give the 12 digits on the front of your card."}

    def to_internal_value(self, data):
        digits = super().to_internal_value(data).replace(" ", "")
        if digits and not (re.fullmatch("[0-9]{12}", digits) and _adds_up(digits)):
            self.fail("number")
        return digits


def _adds_up(digits):
    """Luhn's rule, which finds a wrong digit and most swapped ones."""
    doubled = (int(digit) * (1 + place % 2) for place, digit in enumerate(reversed(digits)))
    return sum(value - 9 if value > 9 else value for value in doubled) % 10 == 0


class LoyaltyCardBlock(PreferenceBlock):
    card = blocks.CharBlock(label="Name of the card", max_length=80)
    purpose = PurposeBlock()

    class Meta:
        icon = "tag"
        group = "Loyalty"
        label = "Loyalty card"
        description = "The number of a loyalty card, and what its points become."
        preview_value = {
            "heading": "Your card",
            "card": "Harbour card",
            "purpose": "to add what you buy to your points",
        }

    def problems(self, value):
        return {} if value.get("purpose") else {"purpose": "Say what you need the number for."}

    def compile(self, value, ctx, block_id):
        card, purpose = value.get("card") or "", value.get("purpose") or ""
        number = control(
            "text",
            "number",
            card,
            format="plain",
            help=with_purpose("12 digits.", purpose),
            constraints={"max_length": 16},
            personal=True,
        )
        points = control(
            "one_of",
            "points",
            "What your points become",
            options=[{"key": key, "label": label, "help": ""} for key, label in POINTS_BECOME.items()],
        )
        return Spec(
            block_id=block_id,
            type=self.name,
            document=self.document(value, ctx, block_id, [number, points]),
            rules={
                "attributes": {
                    NUMBER: declared(card, purpose, personal=True),
                    POINTS: declared("What your points become", purpose, personal=False),
                }
            },
            paths={
                f"attribute:{NUMBER}": ("number", card),
                f"attribute:{POINTS}": ("points", "What your points become"),
            },
        )

    @classmethod
    def fields(cls, spec):
        return {"number": CardNumberField(16), "points": KeyField(POINTS_BECOME, allow_null=True)}

    @classmethod
    def initial(cls, spec, state):
        return answered(
            {"number": held_text(state, NUMBER), "points": held_key(state, POINTS, POINTS_BECOME)}
        )

    @classmethod
    def changes(cls, spec, answers):
        names = {"number": NUMBER, "points": POINTS}
        return [said(names[control], value) for control, value in answers.items()]

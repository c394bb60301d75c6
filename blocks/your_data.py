"""What a person may ask for of her own data: all of it, that nothing is sent on its ground, and that it is forgotten."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext, gettext_lazy as _
from wagtail.blocks import BooleanBlock

from ..changes import Change, OptOut
from ..values import CompileContext, ContactState, Json, Spec
from .base import PreferenceBlock, control
from .fields import AnyField, StrictBooleanField
from .words import ABOUT


class YourDataBlock(PreferenceBlock):
    """The buttons only. What they do, and that it takes a fresh link, is the server's: they are drawn for whoever came by
    one, and for everybody else there is the button that mails it (design.md s9, security.md TK-08).
    """

    of_contact = True

    export = BooleanBlock(
        label=_("Download"),
        required=False,
        default=True,
        help_text=_("Everything that is held of her, as a file."),
    )
    erase = BooleanBlock(
        label=_("Erase"),
        required=False,
        default=True,
        help_text=_(
            "Her data goes, here and in every system that had it. Asked twice, and cannot be taken back."
        ),
    )
    objection = BooleanBlock(
        label=_("Object"),
        required=False,
        default=False,
        help_text=_(
            "An objection to advertising: the same as to unsubscribe from everything, in the words of the law."
        ),
    )

    class Meta:
        icon = "lock"
        group = ABOUT
        label = _("Your data")
        description = _(
            "Lets people download what is known of them, object to advertising, and be forgotten."
        )
        label_format = "{heading}"

    def compile(self, value: Mapping[str, Any], ctx: CompileContext, block_id: str) -> Spec:
        controls: list[Json] = []
        if value.get("objection"):
            controls += _objection(block_id)
        if value.get("export") or value.get("erase"):
            controls.append(
                control(
                    "action",
                    "step_up",
                    gettext("Send me a fresh link"),
                    help=gettext(
                        "So that nobody else gets or erases your data, we mail a link to your address first. It opens this "
                        "page with the buttons for it."
                    ),
                    style="secondary",
                    do="step_up",
                )
            )
        if value.get("export"):
            controls.append(
                control(
                    "action",
                    "export",
                    gettext("Download my data"),
                    help=gettext("Everything that we hold of you, as a file."),
                    style="secondary",
                    do="export",
                )
            )
        if value.get("erase"):
            controls.append(
                control(
                    "action",
                    "erase",
                    gettext("Erase my data for good"),
                    help=gettext(
                        "Nothing is sent to you any more. What you chose and told us is erased, here and in every system "
                        "that had it from us. This cannot be taken back."
                    ),
                    style="danger",
                    do="erase",
                )
            )
        paths = {"opted_out": ("objected", gettext("Everything"))} if value.get("objection") else {}
        return Spec(
            block_id=block_id,
            type=self.name,
            document=self.document(value, ctx, block_id, controls),
            rules={},
            paths=paths,
        )

    @classmethod
    def fields(cls, spec: Spec) -> dict[str, AnyField]:
        return {"objected": StrictBooleanField()} if spec.paths else {}

    @classmethod
    def initial(cls, spec: Spec, state: ContactState) -> Json:
        return {"objected": True} if spec.paths and state.opted_out else {}

    @classmethod
    def changes(cls, spec: Spec, answers: Mapping[str, Any]) -> list[Change]:
        # An objection is taken back by choosing something again, and by no button here.
        return [OptOut()] if answers.get("objected") is True else []

    def problems(self, value: Mapping[str, Any]) -> dict[str, Any]:
        if any(value.get(name) for name in ("export", "erase", "objection")):
            return {}
        return {"export": _("Offer at least one of these.")}

    def get_preview_value(self) -> Any:
        text = gettext("What we know of you is yours to see, and to take back.")
        return self.normalize(
            {
                "heading": gettext("Your data"),
                "text": f"<p>{text}</p>",
                "export": True,
                "erase": True,
                "objection": True,
            }
        )


def _objection(block_id: str) -> list[Json]:
    objected = {"block": block_id, "control": "objected", "in": [True]}
    done = gettext("You have objected to advertising. None is sent to you.")
    return [
        control("rich_text", "done", "", content=[["p", {}, ["strong", {}, done]]], when=objected),
        control(
            "action",
            "object",
            gettext("Object to advertising"),
            help=gettext(
                "You need not say why. It holds from this moment, for everything that is not about your orders."
            ),
            style="secondary",
            do={"answers": {"objected": True}},
            when={"block": block_id, "control": "objected", "not_in": [True]},
        ),
    ]

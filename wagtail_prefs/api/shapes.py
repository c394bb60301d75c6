"""The shapes of what goes in and out, as JSON Schema for OpenAPI 3.1.

Written by hand rather than derived: they are the contract, and the tests hold real answers against them. What the
fields mean is in docs/reference/center-document.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.views import APIView

from ..values import EVIDENCE_KINDS, Json

STRING: Json = {"type": "string"}
#: Typed by anybody: whether it is an address, and whose, no answer tells.
EMAIL: Json = {"type": "string", "minLength": 1}
RECEIPT: Json = {"type": "string", "format": "uuid"}
REVISION: Json = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
VERSION: Json = {"type": "integer", "minimum": 0}
MOMENT: Json = {"type": "string", "format": "date-time"}
URL: Json = {"type": "string", "format": "uri"}
CONTACT: Json = {"type": "string", "format": "uuid"}
EXTERNAL_ID: Json = {"type": "string", "maxLength": 255}
#: A message's own id; the code points that may stand in it are those that can be printed.
MESSAGE: Json = {"type": "string", "minLength": 1, "maxLength": 200}
VERDICT: Json = {"type": "string", "enum": ["send", "defer", "digest", "refuse"]}
CHANNEL: Json = {"type": "string", "enum": ["email", "sms", "push", "in_app", "post", "phone"]}
TREE: Json = {"type": "array", "items": {"type": ["string", "array"]}, "description": "rich text as a tree"}
FREE: Json = {"type": "object", "additionalProperties": True}

LOCALE = OpenApiParameter("locale", str, description="BCP 47; the words of the answer come in it")
KEY = OpenApiParameter(
    "Idempotency-Key", str, OpenApiParameter.HEADER, required=True, pattern="^[!-~]{1,255}$"
)
SESSION: Any = [{"session": []}]  # the stubs know names only
NOBODY: Any = []
#: Whoever holds an API key.
CLIENT: Any = [{"api_key": []}]


def ref(name: str) -> Json:
    """A reference to one of COMPONENTS."""
    return {"$ref": f"#/components/schemas/{name}"}


def describe(**description: Any) -> Callable[[Any], Any]:
    """`extend_schema`, but on drf-spectacular's own schema class rather than on the one of the host's settings."""

    def decorate(method: Any) -> Any:
        method.schema = AutoSchema
        return extend_schema(**description)(method)

    return decorate


def documented(view: Any, **methods: Any) -> None:
    """Show a plain view, with its described methods, to the schema generator.

    It looks for a DRF class on a view, as `as_view()` would have put there. No request ever reaches this one.
    """
    open_to_all = {"schema": AutoSchema(), "authentication_classes": (), "permission_classes": ()}
    view.cls = type("Described", (APIView,), {**open_to_all, **methods})
    view.initkwargs = {}


def problems(*statuses: int) -> dict[tuple[int, str], Json]:
    """Responses that are RFC 9457 problems, for `extend_schema(responses=...)`."""
    return {(status, "application/problem+json"): ref("Problem") for status in statuses}


def refused() -> dict[tuple[int, str], Json]:
    """Values that a program sent and that cannot be taken, as a response for `extend_schema(responses=...)`."""
    return {(422, "application/problem+json"): ref("Refusal")}


def _object(properties: Json, *, optional: Iterable[str] = (), more: bool = False) -> Json:
    return {
        "type": "object",
        "properties": properties,
        "required": sorted(set(properties) - set(optional)),
        "additionalProperties": more,
    }


def _map(values: Json) -> Json:
    return {"type": "object", "additionalProperties": values}


def _list(items: Json) -> Json:
    return {"type": "array", "items": items}


def _or_null(schema: Json) -> Json:
    return {"anyOf": [schema, {"type": "null"}]}


ANSWERS = _map({**FREE, "description": "control -> answer"})

COMPONENTS: dict[str, Any] = {
    "When": {
        "oneOf": [
            _object({"block": STRING, "control": STRING, "in": {"type": "array"}}),
            _object({"block": STRING, "control": STRING, "not_in": {"type": "array"}}),
        ]
    },
    "Media": _object(
        {"src": STRING, "alt": STRING, "width": {"type": "integer"}, "height": {"type": "integer"}}
    ),
    "Control": _object(
        {
            "type": STRING,
            "name": {"type": "string", "pattern": "^[a-z0-9_-]+$"},
            "label": STRING,
            "help": STRING,
            "required": {"type": "boolean"},
            "constraints": FREE,
            "locked": _or_null(STRING),
            "personal": {"type": "boolean"},
            "media": _or_null(ref("Media")),
            "when": _or_null(ref("When")),
        },
        more=True,  # each type has fields of its own
    ),
    "Block": _object(
        {
            "id": STRING,
            "type": STRING,
            "heading": STRING,
            "text": TREE,
            "layout": _or_null(STRING),
            "of_contact": {"type": "boolean"},
            "controls": _list(ref("Control")),
        }
    ),
    "Document": _object(
        {
            "format": {"type": "integer", "const": 1},
            "center": {"type": "string", "format": "uuid"},
            "revision": REVISION,
            "locale": STRING,
            "direction": {"type": "string", "enum": ["ltr", "rtl"]},
            "title": STRING,
            "page_url": {"type": "string", "format": "uri"},
            "blocks": _list(ref("Block")),
            "labels": _map(STRING),
        }
    ),
    "Line": _object({"path": STRING, "text": STRING}),
    "Outlook": _object({"text": STRING, "kind": STRING}),
    "RecordAction": _object(
        {
            "label": STRING,
            "style": {"type": "string", "enum": ["primary", "secondary", "danger"]},
            "do": {"type": "string", "const": "undo"},
            "receipt": RECEIPT,
        }
    ),
    "PastRecord": _object(
        {
            "receipt": RECEIPT,
            "title": STRING,
            "when": {"type": "string", "format": "date-time"},
            "lines": _list(STRING),
            "actions": _list(ref("RecordAction")),
        }
    ),
    "Preferences": _object(
        {
            "version": VERSION,
            "revision": REVISION,
            "assurance": {"type": "string", "enum": ["link", "fresh"]},
            "contact": _object({"email": STRING}),
            "answers": ANSWERS,
            "pending": _list(STRING),
            "private": _map(_map(_list(FREE))),
            "hidden": _list(STRING),
            "records": _map(_list(ref("PastRecord"))),
            "outlook": _list(ref("Outlook")),
        }
    ),
    "LinkRequest": _object({"email": EMAIL}),
    "SignUp": _object({"email": EMAIL, "revision": REVISION, "answers": ANSWERS}),
    "Accepted": _object({"text": STRING}),
    "Code": _object({"code": {"type": "string", "maxLength": 512}}),
    "Session": _object(
        {
            "session": STRING,
            "expires_at": {"type": "string", "format": "date-time"},
            "preferences": ref("Preferences"),
        }
    ),
    "Save": _object({"base_version": VERSION, "revision": REVISION, "answers": ANSWERS}),
    "Saved": _object(
        {
            "version": VERSION,
            "receipt": _or_null(RECEIPT),
            "applied": _list(ref("Line")),
            "merged": _list(ref("Line")),
            "preferences": ref("Preferences"),
        }
    ),
    "Nothing": _object({}),
    "Undo": _object({"receipt": RECEIPT}),
    "Undone": _object(
        {
            "version": VERSION,
            "receipt": _or_null(RECEIPT),
            "applied": _list(ref("Line")),
            "kept": _list(ref("Line")),
            "preferences": ref("Preferences"),
        }
    ),
    "PastSubmission": _object(
        {
            "receipt": RECEIPT,
            "version": {"type": "integer", "minimum": 1},
            "when": {"type": "string", "format": "date-time"},
            "title": STRING,
            "lines": _list(ref("Line")),
            "undo": {"type": "boolean"},
            "receipt_url": {
                "type": "string",
                "format": "uri",
                "description": "for anybody: whether it is genuine",
            },
        }
    ),
    "Export": {
        "type": "object",
        "description": "Everything that is held of the contact: docs/reference/export.md names its lists.",
        "properties": {"text": STRING, "format": {"type": "integer", "const": 1}},
        "required": ["text", "format"],
        "additionalProperties": True,
    },
    "History": _object({"records": _list(ref("PastSubmission")), "next": _or_null(VERSION)}),
    "Problem": _object(
        {
            "type": {"type": "string", "pattern": "^urn:wagtail-prefs:"},
            "title": STRING,
            "status": {"type": "integer"},
            "errors": _map(_map(_list(STRING))),
        },
        optional=["errors"],
    ),
    "Refusal": _object(
        {
            "type": {"type": "string", "pattern": "^urn:wagtail-prefs:"},
            "title": STRING,
            "status": {"type": "integer", "const": 422},
            "errors": _map({**_list(STRING), "description": "field -> reasons"}),
        },
        optional=["errors"],
    ),
    "NewContact": _object(
        {
            "email": {"type": "string", "format": "email"},
            "language": {"type": "string", "description": "BCP 47"},
            "country": {"type": "string", "description": "ISO 3166-1, or a region as in ISO 3166-2"},
            "timezone": {"type": "string", "description": "a name of the IANA database"},
            "external_id": EXTERNAL_ID,
        },
        optional=["language", "country", "timezone", "external_id"],
    ),
    "KnownContact": _object(
        {"id": CONTACT, "version": VERSION, "external_id": EXTERNAL_ID, "suppressed": {"type": "boolean"}}
    ),
    "FindContact": {
        "oneOf": [_object({"email": {"type": "string"}}), _object({"external_id": EXTERNAL_ID})],
    },
    "ClientChoice": _object(
        {
            "topic": {"type": "string", "description": "empty: the channel as a whole"},
            "channel": CHANNEL,
            "choice": _or_null({"type": "string", "enum": ["subscribed", "unsubscribed"]}),
            "pending": {"type": "boolean", "description": "a yes that waits for its confirmation"},
            "until": _or_null(MOMENT),
        }
    ),
    "ContactOfClient": _object(
        {
            "id": CONTACT,
            "version": VERSION,
            "email": STRING,
            "external_id": EXTERNAL_ID,
            "language": STRING,
            "country": STRING,
            "timezone": STRING,
            "opted_out": {"type": "boolean"},
            "suppressed": {"type": "boolean"},
            "choices": _list(ref("ClientChoice")),
            "frequencies": _map({**STRING, "description": "scope -> frequency"}),
            "pauses": _map({**MOMENT, "description": "scope -> until"}),
            "attributes": FREE,
        }
    ),
    "ClientChange": {
        "type": "object",
        "properties": {
            "change": {
                "type": "string",
                "enum": [
                    "SetChoice",
                    "SetFrequency",
                    "Pause",
                    "Resume",
                    "OptOut",
                    "OptIn",
                    "SetAttribute",
                    "ClearAttribute",
                    "GiveReason",
                    "AcknowledgeNotice",
                ],
            },
            "v": {"type": "integer", "const": 1},
            "topic": STRING,
            "channel": STRING,
            "until": _or_null(MOMENT),
            "value": {"type": ["string", "integer", "boolean", "array"]},
            "name": STRING,
            "code": STRING,
            "text": STRING,
            "notice": STRING,
            "sha256": STRING,
        },
        "required": ["change", "v"],
        "additionalProperties": False,
    },
    "ClientChanges": _object(
        {
            "changes": {**_list(ref("ClientChange")), "minItems": 1, "maxItems": 100},
            "evidence": _object(
                {
                    "reference": {"type": "string", "minLength": 1, "maxLength": 255},
                    "at": MOMENT,
                    "kind": {"enum": list(EVIDENCE_KINDS)},
                },
                optional=["kind"],
            ),
        },
        optional=["evidence"],
    ),
    "ClientReceipt": _object(
        {
            "version": VERSION,
            "receipt": _or_null(RECEIPT),
            "applied": _list(_object({"path": STRING, "action": STRING})),
            "merged": _list(_object({"path": STRING, "rule": STRING})),
        }
    ),
    "LinksWanted": _object(
        {
            "contacts": {**_list(CONTACT), "minItems": 1, "maxItems": 1000},
            "center": {"type": "string", "format": "uuid"},
            "topic": STRING,
            "channel": CHANNEL,
            "host": {"type": "integer", "minimum": 0},
        },
        optional=["topic", "channel", "host"],
    ),
    "LinksMade": _object(
        {
            "links": _list(_object({"contact": CONTACT, "manage": URL, "unsubscribe": URL})),
            "unknown": _list(CONTACT),
        }
    ),
    "Question": {
        **_object(
            {
                "topic": STRING,
                "channel": STRING,
                "contacts": {
                    **_list({"type": "string", "minLength": 1}),
                    "minItems": 1,
                    "maxItems": 1000,
                    "description": "UUIDs, or external ids as `by` says",
                },
                "at": {**MOMENT, "description": "now, without; not together with `record`"},
                "record": {**MESSAGE, "description": "the message's id: a `send` takes its place"},
                "by": {"type": "string", "enum": ["id", "external_id"], "default": "id"},
            },
            optional=["at", "record", "by"],
        ),
        "not": {"required": ["at", "record"]},
    },
    "Decision": _object(
        {
            "contact": {**STRING, "description": "as it was asked about; a UUID in lower case"},
            "decision": VERDICT,
            "until": _or_null(MOMENT),
            "reason": STRING,
            "rule": {**STRING, "description": "the reason in words"},
            "record": _or_null({**RECEIPT, "description": "of the ledger, behind the decision"}),
        }
    ),
    "Decisions": _object({"decisions": _list(ref("Decision"))}),
    "AskingQuestion": _object(
        {
            "topic": STRING,
            "channel": STRING,
            "contacts": {
                **_list({"type": "string", "minLength": 1}),
                "minItems": 1,
                "maxItems": 1000,
                "description": "UUIDs, or external ids as `by` says",
            },
            "at": {**MOMENT, "description": "now, without"},
            "by": {"type": "string", "enum": ["id", "external_id"], "default": "id"},
        },
        optional=["at", "by"],
    ),
    "Askings": _object(
        {
            "askings": _list(
                _object(
                    {
                        "contact": {**STRING, "description": "as it was asked about; a UUID in lower case"},
                        "may_ask": {"type": "boolean"},
                        "until": _or_null({**MOMENT, "description": "when that ends by itself"}),
                        "reason": STRING,
                        "rule": {**STRING, "description": "the reason in words"},
                    }
                )
            )
        }
    ),
    "SendMade": {
        **_object(
            {
                "message_id": MESSAGE,
                "contact": CONTACT,
                "external_id": {"type": "string", "minLength": 1},
                "topic": STRING,
                "channel": CHANNEL,
                "at": {**MOMENT, "description": "when it was sent; now, without"},
            },
            optional=["contact", "external_id", "at"],
        ),
        "oneOf": [{"required": ["contact"]}, {"required": ["external_id"]}],
    },
    "SendsMade": {
        "oneOf": [
            ref("SendMade"),
            _object({"sends": {**_list(ref("SendMade")), "minItems": 1, "maxItems": 1000}}),
        ]
    },
    "SendNoted": _object(
        {
            "new": {"type": "boolean"},
            "verdict": _or_null({**VERDICT, "description": "of its moment; null for one noted unjudged"}),
            "reason": _or_null(STRING),
        }
    ),
    "SendsNoted": {"oneOf": [ref("SendNoted"), _object({"sends": _list(ref("SendNoted"))})]},
    "PlacesFreed": _object({"freed": {"type": "integer", "minimum": 0}}),
}

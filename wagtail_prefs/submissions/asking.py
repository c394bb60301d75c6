"""What somebody asks for whom nobody knows: a link to her choices, or to be signed up (security.md s4.5).

Nothing here looks up whose address it is. Whoever it is gets the same answer, by the same statements, in the same time;
what becomes of it is found out by the worker. So every check below is about the center, the network or the words, and
none about the person behind an address.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from uuid import UUID

from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.utils import timezone, translation
from django.utils.module_loading import import_string
from django.utils.translation import gettext as _

from ..access import services as access
from ..access.models import AccessRequest
from ..access.services import limits
from ..canonical import sha256_hex
from ..centers.services import Center, Snapshot, remembered
from ..changes import Change, ChangeAddress, OptIn, OptOut, SetChoice
from ..conf import conf
from ..contacts.addresses import canonical_email
from ..errors import AnswerErrors, InvalidAnswers
from ..ids import random_id
from ..values import SUBSCRIBED, Answers, ContactState, Json, Spec
from .services import plain_answers
from .tasks import nudge
from .wishes import wishes

#: Longer than any address (RFC 5321 s4.5.3.1.3).
MAX_ADDRESS = 254
#: What takes somebody who is known: another address, leaving, coming back.
_OF_SOMEBODY = (ChangeAddress, OptOut, OptIn)


def ask_for_link(
    center: Center, address: str, *, network: str, host: int | None = None, locale: str = ""
) -> None:
    """Note that somebody wants the link of an address. Beyond a limit nothing is noted, and nobody is told (AB-04).

    `host` is the index of the host page it was asked from; `locale` the language of the mail to somebody whose own is
    not known, the center's by default.
    """
    # First the network: who is stopped there uses nothing up of what a person may ask for herself.
    if not limits.hit("link_network", network).allowed:
        return
    if not limits.hit("link_address", center.audience_key, counted_as(address)).allowed:
        return
    if not limits.hit("link_site", center.audience_key).allowed:
        return
    access.ask(
        AccessRequest.Kind.LINK,
        audience_id=center.audience_id,
        center=center.center,
        address=kept(address),
        locale=locale or center.locale,
        host=host,
    )
    nudge()


def sign_up(
    center: Center,
    address: str,
    *,
    snapshot: Snapshot,
    answers: Answers,
    network: str,
    idempotency_key: str,
    source_url: str,
    host: int | None = None,
) -> None:
    """Note that somebody wants to be signed up. `answers` have passed `check_answers`.

    The same `idempotency_key` with the same words is noted once. With other words it is another sign-up: people do not
    share their keys, and one who is refused because of a stranger's would learn of her.
    """
    if not limits.hit("sign_up_network", network).allowed:
        return
    details: Json = {
        "revision": snapshot.digest,
        "answers": plain_answers(answers),
        "source_url": source_url,
    }
    access.ask(
        AccessRequest.Kind.SIGN_UP,
        audience_id=center.audience_id,
        center=center.center,
        address=kept(address),
        locale=center.locale,
        host=host,
        details=details,
        idempotency_key=f"{idempotency_key}.{sha256_hex([address, details])}",
    )
    nudge()


def counted_as(address: str) -> str:
    """What a limit by address counts by: one name for all spellings of a mailbox, and one for what is none."""
    try:
        return canonical_email(address)
    except (ValidationError, UnicodeError):
        return unicodedata.normalize("NFKC", address).strip().casefold()


def kept(address: str) -> str:
    """An address as a row holds it: as it was typed; "" for what is too long to be one, or no database could hold."""
    typed = address.strip()
    return "" if len(typed) > MAX_ADDRESS or "\0" in typed else typed


def refusal(request: HttpRequest) -> str:
    """Why the site's own check (SIGN_UP_CHECK) refuses a sign-up, in words for a person; "" where it does not."""
    if not conf.sign_up_check:
        return ""
    return str(import_string(conf.sign_up_check)(request) or "")


# --- answers of somebody who has no state yet ------------------------------------------------------------------------


def nobody(snapshot: Snapshot) -> ContactState:
    """The state of a person of whom nothing is known but the language she reads."""
    return ContactState(id=UUID(int=0), audience="", language=snapshot.locale, assurance="fresh")


def check_answers(snapshot: Snapshot, answers: Answers) -> None:
    """Hold answers against what the snapshot offers to somebody new, without asking the database. Raises
    InvalidAnswers; a private topic is refused like one that does not exist (AB-08).

    Personal fields are answered: it is her own words that wait, and she confirms them from her own mailbox.
    """
    asked, names = _without_private(snapshot, answers)
    try:
        # The address will be confirmed with the rest, so she comes by a fresh link.
        found = wishes(snapshot, asked, nobody(snapshot), timezone.now(), "fresh").changes
    except InvalidAnswers as refused:
        raise InvalidAnswers(_named(refused.errors, names)) from None
    with translation.override(snapshot.locale):
        for change in found:
            if isinstance(change, _OF_SOMEBODY):
                block_id, where = _place(snapshot, change.path)
                raise InvalidAnswers({block_id: {where: [_("This is not offered here.")]}})
        if not any(_asks(change) for change in found):
            raise InvalidAnswers({"": {"answers": [_("Choose what you would like to get.")]}})


def _asks(change: Change) -> bool:
    """Whether it asks for something that can come; all else is about that: how often, in which words, to whom."""
    return isinstance(change, SetChoice) and bool(change.topic) and change.value == SUBSCRIBED


def can_sign_up(snapshot: Snapshot) -> bool:
    """Whether there is a topic that somebody new could choose."""
    paths = (path for spec in public(snapshot).specs for path in spec.paths)
    return any(path.startswith("choice:") and not path.startswith("choice::") for path in paths)


def _place(snapshot: Snapshot, path: str) -> tuple[str, str]:
    for spec in snapshot.specs:
        if path in spec.paths:
            return spec.block_id, spec.paths[path][0]
    return "", "answers"


@remembered
def public(snapshot: Snapshot) -> Snapshot:
    """The snapshot as a form for everybody is read: the names of private topics are no names there."""
    return replace(snapshot, specs=tuple(map(_public, snapshot.specs)))


def _public(spec: Spec) -> Spec:
    closed = _closed(spec)
    paths = {
        path: (where, label)
        for path, (where, label) in spec.paths.items()
        if tuple(where.split(".")[:2]) not in closed
    }
    return replace(spec, paths=paths) if closed else spec


def _closed(spec: Spec) -> set[tuple[str, ...]]:
    """The private rows of a block, as (control, row). Nobody was invited who is not known."""
    return {(name, str(row["key"])) for name, rows in spec.rules.get("private", {}).items() for row in rows}


def _without_private(snapshot: Snapshot, answers: Answers) -> tuple[Answers, Mapping[str, str]]:
    """The answers with private rows under names that nothing has, and {that name: the row's own}.

    So whatever refuses an unknown topic refuses these, in its own words.
    """
    names: dict[str, str] = {}
    asked: dict[str, Any] = dict(answers)
    for spec in snapshot.specs:
        given = asked.get(spec.block_id)
        for name, row in _closed(spec) if isinstance(given, Mapping) else ():
            table = given.get(name)  # type: ignore[union-attr]
            if isinstance(table, Mapping) and row in table:
                nowhere = random_id()  # a name that nobody can have sent
                names[nowhere] = row
                renamed = {nowhere if key == row else key: value for key, value in table.items()}
                given = asked[spec.block_id] = {**given, name: renamed}  # type: ignore[dict-item]
    return asked, names


def _named(errors: AnswerErrors, names: Mapping[str, str]) -> AnswerErrors:
    def own(where: str) -> str:
        return ".".join(names.get(part, part) for part in where.split("."))

    return {block_id: {own(where): texts for where, texts in of.items()} for block_id, of in errors.items()}

"""What of a platform's news still counts: pure functions over values, no database, no clock (crm-contracts.md s3.5).

A platform may only make things stricter, and never overrules what she did herself later. So each part of an event is
held against her own newest act on the same path (`Said`):

1. **So already** - nothing to do. A topic that she was never asked about is a no to a platform that cannot tell one from
   the other.
2. **Older** - it happened before her act: that stands. A moment in whole seconds counts as the end of its second, so
   that what cannot be told apart ends as a no. What came in before her act is older, too, whatever it says.
3. **Perhaps our own words** - where the platform's events tell us of our own writes (`echoes`), and what it says is what
   we had told it before her act:
   - with a moment that is not older: only where we said it in the ten minutes before that moment, or later;
   - her act had not been delivered by then: the platform held the old value anyway, and says nothing new. Dropped. Where
     what we had told it last was another value, it does say something new, and that counts.
   - her act was delivered: the platform is asked (`ask`). It says the same: it counts. It says what she wants: it was an
     echo. Where it cannot be asked, or where we have written once more since and its answer is our own: it counts.
4. **Without a signature** (`Inbound.TOKEN`) - what would end a yes that was delivered is asked back as well, because
   whoever has read the address could have sent it.

What a platform says that answers late (`ReadBack.EVENTUAL`) means something ten minutes after the event, and after the
delivery of her act; until then the event waits.

Where several yeses are meant at once (an opt-out, a channel), each is held against its own: those that are newer stay,
the others end one by one. It can be our own words only where we told the platform lately that nothing is left. And where it
had been told any yes, she may have left all of it: a yes that was still under way to it ends as well, if it says so when it is
asked, though a no to that alone would have been the old value.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from functools import partial

from ..changes import (
    Change,
    ClearAttribute,
    Erase,
    GiveReason,
    OptIn,
    OptOut,
    Pause,
    Resume,
    SetAttribute,
    SetChoice,
    SetFrequency,
)
from ..contacts.rules import OPTED_OUT, channel_path
from ..values import (
    FREQUENCIES,
    SUBSCRIBED,
    UNSUBSCRIBED,
    Capabilities,
    ContactState,
    Inbound,
    Key,
    ReadBack,
    RemoteState,
    iso,
)

#: How long after we have said something an event of a platform may be its echo, and how long its answers may be old.
LATELY = timedelta(minutes=10)


class Why(StrEnum):
    """Why nothing came of something; shown to staff."""

    ALREADY = "already"
    OLDER = "older"
    ECHO = "echo"
    NOT_SO = "not-so-there"
    LOOSER = "not-stricter"
    ASK = "ask"
    WAIT = "wait"


@dataclass(frozen=True, slots=True)
class Said:
    """Her newest act on a path: in which version, when, and what stood there before it.

    `there` is what the platform had been told, where it had not been told of this act.
    """

    version: int
    at: datetime
    before: object
    there: object = None


@dataclass(frozen=True, slots=True)
class Circumstances:
    """All that an event is held against, beside the state.

    `said` lacks the paths whose newest record is no act of hers: those protect nothing. `heard` is the version that the
    platform had been told when this happened, or came in; None: it has not heard of her. `told` are the choices that were
    a yes in each version that it was told (only for a no to more than a topic). `sent` is when we told it which
    version (the newest few tries). `asked` is whether it was asked already, `remote` what it answered then; `readable`
    whether it can be.
    """

    at: datetime | None
    received_at: datetime
    now: datetime
    capabilities: Capabilities
    said: Mapping[str, Said] = field(default_factory=dict)
    heard: int | None = None
    told: Mapping[int, frozenset[Key]] = field(default_factory=dict)
    sent: Sequence[tuple[datetime, int]] = ()
    readable: bool = False
    asked: bool = False
    remote: RemoteState | None = None


@dataclass(slots=True)
class Sifted:
    """What is left of an event: what to record at once, what only evidence can do, and what must be asked first.

    `ask`: the platform must be asked. `until`: when to look again. `why` is the reason of what was left out.
    """

    noes: list[Change] = field(default_factory=list)
    more: list[Change] = field(default_factory=list)
    why: list[Why] = field(default_factory=list)
    ask: bool = False
    until: datetime | None = None


def touched(state: ContactState, changes: Sequence[Change]) -> set[str]:
    """The paths whose newest records `sift` must know."""
    found: set[str] = set()
    for change in changes:
        found.add(change.path)
        found |= {path for path, _key in _ended(state, change)}
        if isinstance(change, SetChoice):
            found |= {OPTED_OUT, channel_path(change.channel)}
    return found


def sift(state: ContactState, changes: Sequence[Change], given: Circumstances) -> Sifted:
    """Hold an event against a state as it is now (`rules.effective`). A reason for leaving comes along with a no only."""
    found = Sifted()
    for change in changes:
        match change:
            case OptOut() | SetChoice(value="unsubscribed"):
                _no(state, change, given, found)
            case Erase():  # nobody is erased on a platform's word alone: she gets nothing any more
                _no(state, OptOut(), given, found)
            case SetFrequency():
                _cap(state, change, given, found)
            case Pause():
                _pause(state, change, given, found)
            case GiveReason():
                pass
            case _:
                _more(state, change, found)
    if found.noes:
        found.noes += [change for change in changes if isinstance(change, GiveReason)]
    return found


def _more(state: ContactState, change: Change, found: Sifted) -> None:
    """What is not stricter, whatever else it is. What only she can do herself is left out."""
    match change:
        case SetChoice(value="subscribed"):
            news = state.choices.get(change.key) != SUBSCRIBED
        case OptIn():
            news = state.opted_out
        case Resume():
            news = change.key in state.pauses
        case SetAttribute() | ClearAttribute():
            news = True
        case _:
            found.why.append(Why.LOOSER)
            return
    found.why.append(Why.LOOSER if news else Why.ALREADY)
    if news:
        found.more.append(change)


# --- a no ------------------------------------------------------------------------------------------------------------


def _no(state: ContactState, change: OptOut | SetChoice, given: Circumstances, found: Sifted) -> None:
    ended = _ended(state, change)
    if not ended:
        if _is_so(state, change, given.capabilities):
            found.why.append(Why.ALREADY)
        else:
            found.noes.append(change)
        return
    whole = _Whole(change.key[1], given) if not change.key[0] else None
    verdicts = {
        (path, key): _judge(path, _value_of(path), given, partial(_says_no, given, key), whole)
        for path, key in ended
    }
    kept = [why for why in verdicts.values() if why is not None]
    if not kept:
        found.noes.append(change)
        return
    _note(kept, given, found)
    # A channel and all of it cannot be left without the yeses that stay: those that go, go one by one.
    found.noes += [
        SetChoice(*key, UNSUBSCRIBED) for (_path, key), why in verdicts.items() if why is None and key[0]
    ]


def _ended(state: ContactState, change: Change) -> list[tuple[str, Key]]:
    """Path and key of every yes that a no would end; also the lifting of an earlier opt-out, which is one."""
    yeses = sorted(key for key, value in state.choices.items() if value == SUBSCRIBED)
    if isinstance(change, Erase | OptOut):
        found = [(_path(key), key) for key in yeses]
        if not state.opted_out and OPTED_OUT in state.versions:
            found.append((OPTED_OUT, ("", "")))
        return found
    if not isinstance(change, SetChoice) or change.value != UNSUBSCRIBED:
        return []
    topic, channel = change.key
    return [
        (_path(key), key) for key in yeses if key == (topic, channel) or (not topic and key[1] == channel)
    ]


@dataclass(frozen=True, slots=True)
class _Whole:
    """A no to everything on a channel, or at all (""): she can have said it while the platform had any yes of hers."""

    channel: str
    given: Circumstances

    def had_a_yes(self, version: int) -> bool:
        """Whether there was something to leave in a version that the platform was told."""
        return any(self.channel in ("", channel) for _topic, channel in self.given.told.get(version, ()))

    def may_be_ours(self) -> bool:
        """Whether we told the platform lately that there is nothing left."""
        given = self.given
        since = given.at - LATELY if given.at is not None else None
        versions = {version for moment, version in given.sent if since is None or moment >= since}
        return any(not self.had_a_yes(version) for version in {*versions, given.heard or 0})

    def says_no(self) -> bool | None:
        return _says_no(self.given, ("", self.channel))


def _is_so(state: ContactState, change: OptOut | SetChoice, capabilities: Capabilities) -> bool:
    """Whether a no that ends no yes says nothing new. Whatever waits for her confirmation gets nothing yet."""
    if state.opted_out:
        return True
    if isinstance(change, OptOut):
        return False
    topic, channel = change.key
    if UNSUBSCRIBED in (state.choices.get(change.key), state.choices.get(("", channel))):
        return True
    return bool(topic) and (change.key in state.pending or not capabilities.explicit_no)


def _path(key: Key) -> str:
    return f"choice:{key[0]}:{key[1]}"


def _value_of(path: str) -> object:
    """What a no makes of a path, as records name it."""
    return True if path == OPTED_OUT else UNSUBSCRIBED


def _says_no(given: Circumstances, key: Key) -> bool | None:
    """What the platform answered about a choice, or about everything; None: nothing."""
    remote = given.remote
    if remote is None or remote.opted_out:
        return True
    held = remote.choices.get(key)
    if held is not None:
        return held != SUBSCRIBED
    if not any(key) and remote.opted_out is not None:
        return False
    if not key[0]:
        of_it = [
            value for (topic, channel), value in remote.choices.items() if topic and key[1] in ("", channel)
        ]
        return SUBSCRIBED not in of_it if of_it else None
    return None if given.capabilities.explicit_no else True


# --- a cap, a pause --------------------------------------------------------------------------------------------------


def _cap(state: ContactState, change: SetFrequency, given: Circumstances, found: Sifted) -> None:
    held = state.frequencies.get(change.key)
    if held == change.value:
        found.why.append(Why.ALREADY)
    elif FREQUENCIES.index(change.value) > FREQUENCIES.index(held or FREQUENCIES[0]):
        _less(change, change.value, given, found)
    else:
        found.why.append(Why.LOOSER)
        found.more.append(change)


def _pause(state: ContactState, change: Pause, given: Circumstances, found: Sifted) -> None:
    held = state.pauses.get(change.key)
    if held is not None and held.until == change.until:
        found.why.append(Why.ALREADY)
    elif change.until <= given.now + timedelta(seconds=1):
        found.why.append(Why.OLDER)  # it has ended by itself
    elif held is None or change.until > held.until:
        _less(change, iso(change.until), given, found)
    else:
        found.why.append(Why.LOOSER)
        found.more.append(change)


def _less(change: SetFrequency | Pause, value: str, given: Circumstances, found: Sifted) -> None:
    why = _judge(change.path, value, given, partial(_holds, given, change))
    if why is None:
        found.noes.append(change)
    else:
        _note([why], given, found)


def _holds(given: Circumstances, change: SetFrequency | Pause) -> bool | None:
    remote = given.remote
    if remote is None:
        return None
    if isinstance(change, SetFrequency):
        held = remote.frequencies.get(change.key)
        return None if held is None else held == change.value
    return change.key in remote.pauses if remote.pauses else None


# --- her own newest act against it -----------------------------------------------------------------------------------


#: What the platform answered when it was asked; None: nothing about this.
_Answered = Callable[[], bool | None]


def _judge(
    path: str, value: object, given: Circumstances, answered: _Answered, whole: _Whole | None = None
) -> Why | None:
    """Why this does not count, or not yet; None where it does. See the module for the rule."""
    said = given.said.get(path)
    if said is None:
        return _unsigned(None, given, answered)
    if is_older(given.at, given.received_at, said.at):
        return Why.OLDER
    capabilities = given.capabilities
    waited = _waited(said, given)
    if (
        given.heard is None
        or not capabilities.echoes
        or (whole is not None and not whole.may_be_ours())
        or not _was(said.there if waited else said.before, value)
    ):
        return _unsigned(said, given, answered)
    if given.at is not None and not _said_lately(said, given, given.at):
        return _unsigned(said, given, answered)
    if whole is not None and whole.had_a_yes(given.heard):
        return _asked(said, given, whole.says_no if waited else answered, whole)
    return Why.ECHO if waited else _asked(said, given, answered, whole)


def is_older(at: datetime | None, received_at: datetime, act: datetime) -> bool:
    """Whether something that happened over there, or came in, did so before an act of hers."""
    if received_at < act:
        return True
    return at is not None and end_of(at) < act


def end_of(at: datetime) -> datetime:
    """The latest moment that a moment can mean: one in whole seconds, the end of its second."""
    return at if at.microsecond else at.replace(microsecond=999_999)


def _was(before: object, value: object) -> bool:
    """Whether we had told the platform so before: of a choice, whatever is no yes looks like a no."""
    return before != SUBSCRIBED if value == UNSUBSCRIBED else before == value


def _said_lately(said: Said, given: Circumstances, at: datetime) -> bool:
    return any(version < said.version and moment >= at - LATELY for moment, version in given.sent)


def _waited(said: Said, given: Circumstances) -> bool:
    """Whether the platform had not heard of her act when this happened, or came in."""
    return (given.heard or 0) < said.version


def _first_sent(said: Said, given: Circumstances) -> datetime | None:
    """When her act was brought over; None where that is longer ago than we remember."""
    moments = sorted(moment for moment, version in given.sent if version >= said.version)
    remembers = any(version < said.version for _moment, version in given.sent) or len(given.sent) < 5
    return moments[0] if moments and remembers else None


def _unsigned(said: Said | None, given: Circumstances, answered: _Answered) -> Why | None:
    """The last word where nothing speaks against it: a platform that signs nothing is asked."""
    if given.capabilities.inbound is not Inbound.TOKEN or not given.readable or given.heard is None:
        return None
    if said is not None and _waited(said, given):
        return None
    return _asked(said, given, answered)


def _asked(
    said: Said | None, given: Circumstances, answered: _Answered, whole: _Whole | None = None
) -> Why | None:
    if not given.readable:
        return None
    if not given.asked:
        return Why.ASK
    is_so: bool | None = answered()
    if is_so is None:
        return None
    late = given.capabilities.read_back is ReadBack.EVENTUAL
    if is_so:
        fresh = _first_sent(said, given) if said is not None else None
        return Why.WAIT if late and fresh is not None and given.now < fresh + LATELY else None
    if _wrote_again(said, given, whole):
        return None
    if late and given.now < given.received_at + LATELY:
        return Why.WAIT
    return Why.NOT_SO


def _wrote_again(said: Said | None, given: Circumstances, whole: _Whole | None) -> bool:
    """Whether we have told the platform what she wants once more since: then its answer is our own words.

    The first time that it heard of her act does not count, as there was nothing to leave before; unless there was.
    """
    since = given.at if given.at is not None else given.received_at - LATELY
    first = _first_sent(said, given) if said is not None else None
    version = said.version if said is not None else 0
    if first is not None and whole is not None:
        before = (told for moment, told in given.sent if moment < first)
        first = None if any(map(whole.had_a_yes, before)) else first
    return any(moment >= since and moment != first and told >= version for moment, told in given.sent)


def _note(kept: Sequence[Why], given: Circumstances, found: Sifted) -> None:
    found.ask = found.ask or Why.ASK in kept
    if Why.WAIT in kept:
        latest = max([given.received_at, *(moment for moment, _version in given.sent)])
        found.until = max(latest + LATELY, given.now + timedelta(seconds=30))
    found.why += kept

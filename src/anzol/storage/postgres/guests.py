"""Writing a message in a caller's own transaction on Anzol's own database, straight into Anzol's tables.

What is to be asked is said here, once, as generators; a driver for each kind of connection does the asking (see
`anzol.storage.hands`). Nothing that is asked can fail for a reason that lies in the message: an error would spoil the
caller's transaction.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator, MutableMapping
from dataclasses import dataclass, replace
from typing import Any, Final, TypeVar
from weakref import WeakKeyDictionary, ref

from anzol.errors import SessionRefused, StorageBusy, StorageUnreachable
from anzol.storage.face import Accepted, NewMessage
from anzol.storage.keys import Answer, answer_used, digest_of
from anzol.storage.postgres import accept
from anzol.storage.postgres.calls import Calls
from anzol.storage.postgres.phrases import RELEASE, SAVE, UNDO, Phrase, Values, first_use, fitting, phrase
from anzol.storage.postgres.work import Work

T = TypeVar("T")

TRIES: Final = 3  # of a key whose first message comes or goes while we ask for it
CLASHED: Final = "40001"  # another transaction committed after this one's snapshot
OUTSIDE: Final = "25P01"  # no transaction is open
UNWRITABLE: Final = {
    "25006": ("is read-only", "Give a session that writes to the primary server."),
    "25P02": ("has failed before", "Roll it back, then send; to go on after an error, use a savepoint."),
}
OWN: Final = "anzol.own"  # in a connection's notes: whose database it is


@dataclass(frozen=True, slots=True)
class Ask:
    """Ask the caller's connection; the answer is a list of rows."""

    phrase: Phrase
    values: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Own:
    """Ask Anzol's own database, which is made ready first, on a connection of Anzol's own."""

    act: Callable[[Work], Awaitable[Any]]


Flow = Generator[Ask | Own, Any, T]
Notes = MutableMapping[Any, Any]


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """Which database of which running server, and which Anzol's it is.

    A server is known by the moment it was started, so that a copy is never taken for the original; ``identity`` came
    with the first migration, and goes wherever a dump is restored.
    """

    database: int
    started: int
    identity: str | None = None

    def same_place(self, other: Whereabouts) -> bool:
        """Say whether this is the same database of the same running server."""
        return (self.database, self.started) == (other.database, other.started)


@dataclass(frozen=True, slots=True)
class Found:
    """What a caller's connection tells of its database: where it is, and what its user may do in Anzol's schema."""

    place: Whereabouts
    there: bool
    lacking: str


_own: WeakKeyDictionary[Calls, Whereabouts] = WeakKeyDictionary()


# --- whose database is it? ------------------------------------------------------------------------------------------


def is_own(storage: Calls, notes: Notes) -> Flow[bool]:
    """Find out whether a connection is in the database and the schema of *storage*; once for each connection.

    Args:
        notes: Of the connection, for as long as that lives.

    Raises:
        SessionRefused: it is, but its user may not write there.
        StorageError: Anzol's own database does not say.
    """
    known = notes.get(OWN)
    if known is not None and known[0]() is storage:
        return bool(known[1])
    own = yield from judged(storage)
    notes[OWN] = (ref(storage), own)
    return own


def judged(storage: Calls) -> Flow[bool]:
    """Compare the caller's database with Anzol's own."""
    found = yield from look(storage)
    try:
        ours = yield from own_place(storage, found.place)
    except StorageUnreachable:
        if found.there:
            raise
        return False  # a schema of that name is not here, so this is another database, and it can be written to
    if not ours.same_place(found.place):
        return False
    if found.lacking:
        raise refused(storage.place.schema, found.lacking)
    return (yield from identified(storage, found.place)) == ours


def look(storage: Calls) -> Flow[Found]:
    """Ask the caller's connection where it is."""
    (row,) = yield ask("whereabouts", storage.place.schema, namespace=storage.place.schema)
    return Found(Whereabouts(int(row[0]), int(row[1])), bool(row[2]), str(row[3]))


def identified(storage: Calls, place: Whereabouts) -> Flow[Whereabouts]:
    """Ask the caller's connection for the identity of the Anzol whose database it is in."""
    rows = yield ask("identity", storage.place.schema)
    return replace(place, identity=str(rows[0][0]) if rows else None)


def own_place(storage: Calls, theirs: Whereabouts) -> Flow[Whereabouts]:
    """Return where *storage* is; asked again where the answer differs, since a server may have been started again."""
    known = _own.get(storage)
    if known is None or not known.same_place(theirs):
        known = _own[storage] = yield Own(where_we_are)
    return known


async def where_we_are(work: Work) -> Whereabouts:
    """Ask on a connection of Anzol's own."""
    row = await work.the("whereabouts", "database", namespace=work.schema)
    identity = await work.one("identity")
    return Whereabouts(row[0], row[1], None if identity is None else identity[0])


def refused(schema: str, lacking: str) -> SessionRefused:
    """Return the error for a user without the grants."""
    return SessionRefused(
        f"The session's user may not write messages in the schema {schema} of Anzol's database; it lacks {lacking}.",
        do=f"Grant that, and usage on schema {schema}; or all that Anzol needs: `anzol migrate --grant ROLE`.",
    )


def refusing(flow: Flow[T]) -> Flow[T]:
    """Run *flow*, and say in our words what is wrong with a transaction in which nobody can write.

    Raises:
        SessionRefused: the transaction is read-only, or has failed before.
    """
    try:
        return (yield from flow)
    except Exception as error:
        why = UNWRITABLE.get(sqlstate(error) or "")
        if why is None:
            raise
        what, do = why
        raise SessionRefused(f"The session's transaction {what}; nothing was sent.", do=do) from error


# --- storing --------------------------------------------------------------------------------------------------------


def stored(storage: Calls, message: NewMessage) -> Flow[Accepted]:
    """Store a message; the database says when, unless *storage* has a clock of its own.

    Where the transaction's isolation is stricter than READ COMMITTED, a key's message is stored within a savepoint: one
    that another transaction committed meanwhile is then found through a connection of Anzol's own.

    Raises:
        KeyConflict: the key was used before, with another body.
        InvalidValue: text that PostgreSQL cannot hold.
    """
    accept.refuse_nul(message)
    values = message_values(storage, message)
    if (yield ask_with("accept", storage, values, guarded=True)):
        return Accepted(message.id)
    if message.key is None:
        return Accepted(message.id, duplicate=True)
    for _ in range(TRIES):
        used = yield Ask(first_use(storage.place.schema), fitting(first_use(storage.place.schema), values))
        answer = answer_of(message, values, used) or (yield from stored_apart(storage, message, values))
        if answer is not None:
            return given(answer)
    raise StorageBusy(f"The key {message.key!r} is taken and freed by others all the time.", do="Send it again.")


def stored_apart(storage: Calls, message: NewMessage, values: Values) -> Flow[Answer | None]:
    """Store a message with a key where a conflict may be an error; None: neither stored nor used, so look again."""
    inside = yield from saved()
    try:
        done = yield ask_with("accept", storage, values, guarded=False)
    except Exception as error:
        if inside:
            yield Ask(UNDO, {})
            yield Ask(RELEASE, {})
        if sqlstate(error) != CLASHED:
            raise
        used: Answer | None = yield Own(lambda work: used_first(work, message))
        return used
    if inside:
        yield Ask(RELEASE, {})
    return Accepted(message.id) if done else None


def saved() -> Flow[bool]:
    """Set a savepoint; False where no transaction is open, which nothing can spoil."""
    try:
        yield Ask(SAVE, {})
    except Exception as error:
        if sqlstate(error) != OUTSIDE:
            raise
        return False
    return True


async def used_first(work: Work, message: NewMessage) -> Answer | None:
    """Ask on a connection of Anzol's own, which sees what is committed by now."""
    used = (await accept.first_uses(work, [message])).get(message.id)
    return None if used is None else answer_used(message, *used, digest_of(message))


def answer_of(message: NewMessage, values: Values, used: list[tuple[str, str]]) -> Answer | None:
    """Answer a message whose key was used; None if it was not."""
    if not used:
        return None
    first, digest = map(bytes.fromhex, used[0])
    return answer_used(message, first, digest, values["digests"])


def given(answer: Answer) -> Accepted:
    """Return the answer, or raise it."""
    if isinstance(answer, Exception):
        raise answer
    return answer


def message_values(storage: Calls, message: NewMessage) -> Values:
    """Return the values of all statements about a message."""
    now = storage.now()
    columns = accept.columns([message], by_database=now is None)
    return {name: column[0] for name, column in columns.items()} | {"now": now}


def ask_with(name: str, storage: Calls, values: Values, *, guarded: bool) -> Ask:
    """Return the step that runs a statement about a message."""
    statement = phrase(name, storage.place.schema, timed=values["now"] is not None, guarded=guarded)
    return Ask(statement, fitting(statement, values))


def ask(name: str, schema: str, **values: Any) -> Ask:
    """Return the step that runs a statement."""
    statement = phrase(name, schema)
    return Ask(statement, fitting(statement, values))


def sqlstate(error: BaseException) -> str | None:
    """Return PostgreSQL's code of an error, as whichever driver or SQLAlchemy tells it."""
    driver: Any = getattr(error, "orig", None) or error
    code = getattr(driver, "sqlstate", None) or getattr(driver, "pgcode", None)
    if code is None and driver.args and isinstance(driver.args[0], dict):  # pg8000
        code = driver.args[0].get("C")
    return code

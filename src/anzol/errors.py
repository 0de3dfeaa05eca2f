"""Everything that Anzol raises, in one tree.

::

    AnzolError
    ├── DeclarationError          a webhook is declared in a way that cannot be sent
    ├── SettingsError             a setting is unknown, missing or impossible
    ├── SendError                 a message was not accepted; nothing was stored
    │   ├── UnknownWebhook        no declared webhook has this name or function
    │   ├── InvalidPayload        the arguments do not fit the declaration
    │   ├── InvalidCustomer       what was given is not a customer's id
    │   ├── KeyConflict           the key was used before with another body
    │   ├── RequestConflict       the idempotency key was used before by another request
    │   ├── PayloadTooLarge       the body is over the limit
    │   ├── OutboxMissing         the caller's database has no ``anzol_outbox`` table
    │   └── SessionRefused        ``session=`` is nothing that a message can be written with
    ├── NotFound                  no such customer, endpoint, message, ...
    ├── Conflict                  the object is not in a state that allows this
    ├── InvalidValue              a value given for an endpoint, a filter, ... is refused
    │   ├── AddressRefused        the address guard does not let this URL through
    │   ├── InvalidHeader         a custom header that may not be set
    │   └── DocumentRefused       an OpenAPI document cannot be read, or not used
    ├── NameNotResolved           a host's name has no address, or nobody answered for it
    ├── VerificationError         a received webhook is not what it claims to be
    ├── AppError                  the FastAPI app was not found, or importing it failed
    ├── PortTaken                 a port of `anzol dev` or of health cannot be listened on
    ├── BenchError                `anzol bench` could not measure
    └── StorageError              the database could not do it
        ├── StorageBusy           it was locked for longer than the wait allowed
        ├── StorageUnreachable    it does not answer, or does not let us in
        ├── SchemaOutdated        migrations are missing
        ├── SchemaNewer           the database belongs to a newer Anzol
        ├── WrongDeployment       the database carries another deployment's mark
        └── VaultError            a secret could not be opened: wrong or missing key
"""

from __future__ import annotations


class AnzolError(Exception):
    """The root: every error of Anzol's own is one of these.

    Args:
        what: One sentence: what happened, and where.
        do: What to do about it, or ``""`` when the first sentence says it.
    """

    def __init__(self, what: str, *, do: str = "") -> None:
        super().__init__(f"{what} {do}".rstrip())
        self.what = what
        self.do = do


class DeclarationError(AnzolError):
    """A webhook is declared in a way that cannot be sent."""


class SettingsError(AnzolError):
    """A setting is unknown, missing or impossible."""


class SendError(AnzolError):
    """A message was not accepted; nothing was stored."""


class UnknownWebhook(SendError):
    """No declared webhook has this name or function."""


class InvalidPayload(SendError):
    """The arguments do not fit the declaration.

    ``faults`` holds one ``(path, reason)`` for each, such as ``("body.monthly_fee", "...")``.
    """

    def __init__(self, what: str, *, faults: tuple[tuple[str, str], ...] = (), do: str = "") -> None:
        super().__init__(what, do=do)
        self.faults = faults


class InvalidCustomer(SendError):
    """What was given is not a customer's id."""


class KeyConflict(SendError):
    """The key was used before, by a message with another body."""

    def __init__(self, what: str, *, key: str, message_id: str, do: str = "") -> None:
        super().__init__(what, do=do)
        self.key = key
        self.message_id = message_id


class RequestConflict(SendError):
    """The idempotency key was used before, by a request that asked for something else."""


class PayloadTooLarge(SendError):
    """The body is over the limit; ``size`` and ``limit`` are in bytes."""

    def __init__(self, what: str, *, size: int, limit: int, do: str = "") -> None:
        super().__init__(what, do=do)
        self.size = size
        self.limit = limit


class OutboxMissing(SendError):
    """The caller's database has no ``anzol_outbox`` table."""


class SessionRefused(SendError):
    """What was given as ``session=`` is nothing that a message can be written with, or not in this way."""


class NotFound(AnzolError):
    """No such customer, endpoint, message, delivery or attempt."""


class Conflict(AnzolError):
    """The object is not in a state that allows this."""


class InvalidValue(AnzolError):
    """A value given for an endpoint, a filter or a time is refused; ``field`` names it."""

    def __init__(self, what: str, *, field: str = "", do: str = "") -> None:
        super().__init__(what, do=do)
        self.field = field


class AddressRefused(InvalidValue):
    """The address guard does not let this URL through; ``reason`` is one of a closed list."""

    def __init__(self, what: str, *, reason: str, field: str = "url", do: str = "") -> None:
        super().__init__(what, field=field, do=do)
        self.reason = reason


class InvalidHeader(InvalidValue):
    """A custom header that may not be set."""


class DocumentRefused(InvalidValue):
    """An OpenAPI document cannot be read, or not used; ``path`` leads to the place in it."""

    def __init__(self, what: str, *, path: tuple[str | int, ...] = (), field: str = "spec", do: str = "") -> None:
        super().__init__(what, field=field, do=do)
        self.path = path


class NameNotResolved(AnzolError):
    """A host's name has no address, or nobody answered for it."""

    def __init__(self, what: str, *, name: str, do: str = "") -> None:
        super().__init__(what, do=do)
        self.name = name


class VerificationError(AnzolError):
    """A received webhook is not what it claims to be; ``reason`` is one of a closed list."""

    def __init__(self, what: str, *, reason: str, do: str = "") -> None:
        super().__init__(what, do=do)
        self.reason = reason


class AppError(AnzolError):
    """The FastAPI app was not found, or importing it failed; ``trace`` shows where in the app's own files."""

    def __init__(self, what: str, *, trace: str = "", do: str = "") -> None:
        super().__init__(what, do=do)
        self.trace = trace


class PortTaken(AnzolError):
    """A port cannot be listened on: another program has it, or it is not for this user."""


class BenchError(AnzolError):
    """`anzol bench` could not measure: a process of its own has ended, or deliveries came to a halt."""


class StorageError(AnzolError):
    """The database could not do it."""


class StorageBusy(StorageError):
    """The database was locked for longer than the wait allowed; nothing was stored."""


class StorageUnreachable(StorageError):
    """The database does not answer, or does not let us in; what was asked last may have happened or not."""


class SchemaOutdated(StorageError):
    """Migrations are missing; ``anzol migrate`` applies them."""


class SchemaNewer(StorageError):
    """The database belongs to a newer Anzol than this one."""


class WrongDeployment(StorageError):
    """The database carries the mark of another deployment."""


class VaultError(StorageError):
    """A secret could not be opened: the key is wrong or missing."""

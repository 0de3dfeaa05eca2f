"""Webhooks for FastAPI, whole: declare, document, send, deliver, show, receive.

Names are loaded when they are first used: `import anzol.receiver` brings neither FastAPI nor a database along.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from anzol.app import Webhooks
    from anzol.catalog import Envelope
    from anzol.errors import (
        AddressRefused,
        AnzolError,
        AppError,
        Conflict,
        DeclarationError,
        InvalidCustomer,
        InvalidHeader,
        InvalidPayload,
        InvalidValue,
        KeyConflict,
        NameNotResolved,
        NotFound,
        OutboxMissing,
        PayloadTooLarge,
        SchemaNewer,
        SchemaOutdated,
        SendError,
        SessionRefused,
        SettingsError,
        StorageBusy,
        StorageError,
        UnknownWebhook,
        VaultError,
        VerificationError,
        WrongDeployment,
    )
    from anzol.lifecycle import Cause, Disabled, Incident, Outcome, State
    from anzol.model import (
        UNSET,
        Attempt,
        Customer,
        Delivery,
        Endpoint,
        Match,
        Message,
        Page,
        PauseRule,
        Report,
        Secret,
        Status,
        StoredMessage,
    )
    from anzol.outbox import Outbox, Recipient
    from anzol.settings import Settings
    from anzol.storage.outboxrows import outbox_table

__all__ = [
    "UNSET",
    "AddressRefused",
    "AnzolError",
    "AppError",
    "Attempt",
    "Cause",
    "Conflict",
    "Customer",
    "DeclarationError",
    "Delivery",
    "Disabled",
    "Endpoint",
    "Envelope",
    "Incident",
    "InvalidCustomer",
    "InvalidHeader",
    "InvalidPayload",
    "InvalidValue",
    "KeyConflict",
    "Match",
    "Message",
    "NameNotResolved",
    "NotFound",
    "Outbox",
    "OutboxMissing",
    "Outcome",
    "Page",
    "PauseRule",
    "PayloadTooLarge",
    "Recipient",
    "Report",
    "SchemaNewer",
    "SchemaOutdated",
    "Secret",
    "SendError",
    "SessionRefused",
    "Settings",
    "SettingsError",
    "State",
    "Status",
    "StorageBusy",
    "StorageError",
    "StoredMessage",
    "UnknownWebhook",
    "VaultError",
    "VerificationError",
    "Webhooks",
    "WrongDeployment",
    "outbox_table",
]

PLACES = {
    "UNSET": "anzol.storage.face",
    "Webhooks": "anzol.app",
    "Envelope": "anzol.catalog",
    "Outbox": "anzol.outbox",
    "Recipient": "anzol.outbox",
    "Settings": "anzol.settings",
    "outbox_table": "anzol.storage.outboxrows",
} | dict.fromkeys(("Cause", "Disabled", "Incident", "Outcome", "State"), "anzol.lifecycle")
MODEL = {
    "Attempt",
    "Customer",
    "Delivery",
    "Endpoint",
    "Match",
    "Message",
    "Page",
    "PauseRule",
    "Report",
    "Secret",
    "Status",
    "StoredMessage",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    place = PLACES.get(name) or ("anzol.model" if name in MODEL else "anzol.errors")
    thing = getattr(import_module(place), name)
    globals()[name] = thing
    return thing


def __dir__() -> list[str]:
    return sorted(__all__)

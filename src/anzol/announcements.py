"""What operational endpoints are sent: the message for an incident, in the words of the REST dialect."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from anzol import ids
from anzol.clock import to_micros
from anzol.lifecycle import Incident
from anzol.model import OPERATIONAL, UNNAMED
from anzol.storage.face import BY_HAND, NewMessage, Unannounced

EVENT_TYPES: Final[Mapping[Incident, str]] = {
    Incident.ENDPOINT_CREATED: "endpoint.created",
    Incident.ENDPOINT_UPDATED: "endpoint.updated",
    Incident.ENDPOINT_DELETED: "endpoint.deleted",
    Incident.ENDPOINT_DISABLED: "endpoint.disabled",
    Incident.ENDPOINT_ENABLED: "endpoint.enabled",
    Incident.MESSAGE_EXHAUSTED: "message.attempt.exhausted",
    Incident.ENDPOINT_FAILING: "message.attempt.failing",
    Incident.ENDPOINT_RECOVERED: "message.attempt.recovered",
}


def announcement(incident: Unannounced, now: int) -> NewMessage | None:
    """Return the message for an incident; None: operational endpoints are not told of its kind.

    The same incident gives the same key and body, whoever announces it, and however often.

    Args:
        now: Microseconds since the Unix epoch.
    """
    event_type = EVENT_TYPES.get(incident.kind)
    if event_type is None:
        return None
    return NewMessage(
        id=ids.new(now),
        environment=incident.environment,
        customer=OPERATIONAL,
        event_type=event_type,
        method="POST",
        content_type="application/json",
        body=json.dumps({"type": event_type, "data": data_of(incident)}, separators=(",", ":")).encode(),
        created_at=now,
        # With its time: in another database the numbers of incidents may begin anew.
        key=f"incident-{incident.id}-{to_micros(incident.at)}",
    )


def data_of(incident: Unannounced) -> dict[str, Any]:
    """Return what is said of an incident."""
    named = incident.customer is not None and not incident.customer.startswith(UNNAMED)
    data: dict[str, Any] = {
        "appId": incident.customer_id,
        "appUid": incident.customer if named else None,
        "endpointId": incident.endpoint_id,
        "endpointUid": incident.endpoint_uid,
    }
    if incident.kind is Incident.ENDPOINT_DISABLED:
        data["failSince"] = shown(incident.failing_since)
        data["trigger"] = "manual" if incident.detail == BY_HAND else "automatic"
    if incident.message_id is not None:
        data |= delivery_of(incident)
    return data


def delivery_of(incident: Unannounced) -> dict[str, Any]:
    """Return what is said of the delivery that an incident is about."""
    data: dict[str, Any] = {"msgId": incident.message_id, "msgEventId": incident.message_key}
    if incident.attempt_id is not None:
        data["lastAttempt"] = {
            "id": incident.attempt_id,
            # 0: no answer came.
            "responseStatusCode": incident.attempt_status or 0,
            "timestamp": shown(incident.attempt_at),
        }
    return data


def shown(when: datetime | None) -> str | None:
    """Write a time as ISO 8601."""
    return None if when is None else when.isoformat().replace("+00:00", "Z")

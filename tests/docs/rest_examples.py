"""One example for each operation of the REST API, in the order in which they are played: one story of one customer.

Operations are named as the API's document does; the customer's uid is ``acme``, the endpoint's ``billing``, the
message's ``eventId`` ``invoice-17-paid``, so that paths need no ids. What only the server knows is kept from an answer
(``keep``) and put into later ones as ``{name}``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
RECEIVER = "https://acme.example/webhooks"  # stands for the receiver that really answers
SINCE = "2026-11-24T00:00:00Z"
UNTIL = "2126-11-25T00:00:00Z"
SCHEMA = {"type": "object", "required": ["number"], "properties": {"number": {"type": "integer"}}}
DOCUMENT = {
    "openapi": "3.1.0",
    "info": {"title": "Shop", "version": "1"},
    "webhooks": {
        "order.shipped": {
            "post": {
                "description": "An order left the house.",
                "requestBody": {"content": {"application/json": {"schema": SCHEMA}}},
                "responses": {"204": {"description": "Taken."}},
            }
        }
    },
}


@dataclass(frozen=True, slots=True)
class Example:
    """A call of one operation.

    Args:
        path: What stands in the path, beside the usual.
        keep: Names, with the place in the answer such as ``data.0.id``.
        status: What is answered; else what the document says of success.
        first: ``deliver``: the worker delivers before it.
        token: Whose; the environment's unless one was kept under this name.
    """

    operation: str
    body: Any = None
    query: dict[str, Any] = field(default_factory=dict)
    path: dict[str, str] = field(default_factory=dict)
    keep: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    status: int | None = None
    first: str = ""
    token: str = ""


SPARE = {"endpoint_id": "spare"}
TEAM = {"endpoint_id": "team"}

EXAMPLES = (
    Example("v1.health.get"),
    Example("v1.health.ping"),
    # Event types
    Example(
        "v1.event-type.create", {"name": "invoice.paid", "description": "An invoice is paid.", "schemas": {"1": SCHEMA}}
    ),
    Example("v1.event-type.import-openapi", {"spec": DOCUMENT}),
    Example("v1.event-type.list", query={"limit": 2}),
    Example("v1.event-type.get", path={"name": "invoice.paid"}),
    Example("v1.event-type.update", {"description": "An order left."}, path={"name": "order.shipped"}),
    Example("v1.event-type.patch", {"groupName": "billing"}, path={"name": "invoice.paid"}),
    Example("v1.event-type.delete", path={"name": "order.shipped"}),
    Example("v1.openapi.webhooks"),
    # Applications
    Example("v1.application.create", {"name": "Acme", "uid": "acme", "metadata": {"plan": "gold"}}),
    Example("v1.application.update", {"name": "Umbrella"}, path={"app_id": "umbrella"}, status=201),
    Example("v1.application.list", query={"limit": 2, "order": "ascending"}),
    Example("v1.application.get"),
    Example("v1.application.patch", {"throttleRate": 500}),
    # Operational endpoints
    Example("v1.operational-webhook.endpoint.create", {"url": RECEIVER, "uid": "team", "secret": SECRET}),
    Example("v1.operational-webhook.endpoint.list"),
    Example("v1.operational-webhook.endpoint.get", path=TEAM),
    Example(
        "v1.operational-webhook.endpoint.update",
        {"url": RECEIVER, "uid": "team", "filterTypes": ["endpoint.disabled"]},
        path=TEAM,
    ),
    Example("v1.operational-webhook.endpoint.patch", {"description": "The team on call"}, path=TEAM),
    Example("v1.operational-webhook.endpoint.update-headers", {"headers": {"x-team": "payments"}}, path=TEAM),
    Example("v1.operational-webhook.endpoint.patch-headers", {"headers": {"x-shift": "night"}}, path=TEAM),
    Example("v1.operational-webhook.endpoint.get-headers", path=TEAM),
    Example("v1.operational-webhook.endpoint.rotate-secret", {}, path=TEAM),
    Example("v1.operational-webhook.endpoint.get-secret", path=TEAM),
    Example("v1.operational-webhook.endpoint.delete", path=TEAM),
    # Endpoints
    Example("v1.endpoint.probe", {"url": RECEIVER, "secret": SECRET}),
    Example(
        "v1.endpoint.create",
        {"url": RECEIVER, "uid": "billing", "secret": SECRET, "filterTypes": ["invoice.paid"], "fifo": True},
    ),
    Example("v1.endpoint.update", {"url": RECEIVER, "uid": "spare"}, path=SPARE, status=201),
    Example("v1.endpoint.list"),
    Example("v1.endpoint.get"),
    Example("v1.endpoint.patch", {"description": "Books what is paid"}),
    Example("v1.endpoint.update-headers", {"headers": {"x-department": "billing"}}),
    Example("v1.endpoint.patch-headers", {"headers": {"x-floor": "3"}, "deleteHeaders": ["x-department"]}),
    Example("v1.endpoint.get-headers"),
    Example("v1.endpoint.get-secret"),
    Example("v1.endpoint.delete", path=SPARE),
    # Messages
    Example("v1.message.precheck", {"eventType": "invoice.paid"}),
    Example(
        "v1.message.create", {"eventType": "invoice.paid", "eventId": "invoice-17-paid", "payload": {"number": 17}}
    ),
    Example(
        "v1.message.create-batch",
        {
            "messages": [
                {"eventType": "invoice.paid", "eventId": "invoice-18-paid", "payload": {"number": 18}},
                {"eventType": "invoice.paid", "eventId": "invoice-19-paid", "payload": {"number": 19}},
            ]
        },
        query={"with_content": "false"},
    ),
    Example("v1.endpoint.send-example", {"eventType": "invoice.paid"}),
    Example("v1.message.list", query={"limit": 1, "event_types": "invoice.paid"}, first="deliver"),
    Example("v1.message.get"),
    Example("v1.delivery.match"),
    # Attempts and deliveries
    Example("v1.message-attempt.list-by-msg", keep={"attempt_id": "data.0.id"}),
    Example(
        "v1.message-attempt.list-by-endpoint", query={"limit": 1, "order": "ascending"}, keep={"event": "iterator"}
    ),
    Example("v1.message-attempt.get"),
    Example("v1.message-attempt.list-attempted-messages", query={"limit": 1}),
    Example("v1.message-attempt.list-attempted-destinations"),
    Example("v1.message-attempt.resend"),
    Example("v1.delivery.list", query={"limit": 1}),
    Example("v1.delivery.list-all", query={"limit": 1, "status": 0}),
    Example("v1.delivery.live", query={"endpoint_id": "billing"}, headers={"Last-Event-ID": "{event}"}),
    Example("v1.delivery.live-all", headers={"Last-Event-ID": "{event}"}),
    Example("v1.endpoint.get-stats"),
    Example("v1.endpoint.get-attempt-stats"),
    Example("v1.status.get"),
    Example("v1.endpoint.list-all", query={"limit": 1}),
    # Stopping
    Example("v1.endpoint.pause"),
    Example("v1.endpoint.resume"),
    Example("v1.pause.create", {"eventType": "invoice.paid"}),
    Example("v1.pause.list"),
    Example("v1.pause.resume", {"eventType": "invoice.paid"}),
    Example("v1.delivery.preview-cancel", {"endpointId": "billing"}),
    Example("v1.delivery.cancel", {"endpointId": "billing"}),
    Example("v1.delivery.preview-cancel-all", {"eventTypes": ["invoice.paid"]}),
    Example("v1.delivery.cancel-all", {"eventTypes": ["invoice.paid"]}),
    # Background tasks
    Example("v1.endpoint.recover", {"since": SINCE}, keep={"task_id": "id"}),
    Example("v1.endpoint.replay-missing", {"since": SINCE}),
    Example("v1.endpoint.bulk-replay", {"since": SINCE, "eventTypes": ["invoice.paid"]}),
    Example("v1.statistics.aggregate-app-stats", {"since": SINCE, "until": UNTIL}),
    Example("v1.statistics.aggregate-event-types"),
    Example("v1.background-task.list", query={"limit": 1}),
    Example("v1.background-task.get"),
    Example("v1.background-task.cancel"),
    # Letting in
    Example("v1.api-token.create", {"name": "Billing", "scopes": ["publish"]}, keep={"key_id": "id"}),
    Example("v1.api-token.list"),
    Example("v1.api-token.expire"),
    Example("v1.authentication.app-portal-access", {"readOnly": True}, keep={"code": "url", "portal": "token"}),
    Example("v1.authentication.exchange-one-time-token", {"oneTimeToken": "{code}"}),
    Example("v1.authentication.logout", token="portal"),
    Example("v1.authentication.expire-all", {}),
    Example("v1.audit.list", query={"limit": 1}),
    Example("v1.audit.list-of-app", query={"limit": 1}),
    # Erasing
    Example("v1.endpoint.rotate-secret", {"gracePeriodSeconds": 3600}),
    Example("v1.message-attempt.expunge-content"),
    Example("v1.message.expunge-content"),
    Example("v1.message.bulk-expunge", {"ids": ["invoice-18-paid", "invoice-19-paid"]}),
    Example("v1.application.export"),
    Example("v1.application.erase"),
    Example("v1.application.delete", path={"app_id": "umbrella"}),
)

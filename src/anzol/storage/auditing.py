"""What is written down of who did what: never a secret, a header's value or a body."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from anzol.clock import to_micros
from anzol.storage.face import Selection

COLUMNS: Final = (  # of an endpoint, in the order of ``endpoint_columns``
    "url",
    "uid",
    "description",
    "event_types",
    "channels",
    "throttle",
    "fifo",
    "contact",
    "header_prefix",
    "schedule",
    "metadata",
)


def write_detail(detail: Mapping[str, Any]) -> str:
    """Write details as JSON; what is None or empty is left out."""
    told = {name: value for name, value in detail.items() if value not in (None, "", [])}
    return json.dumps(told, separators=(",", ":"))


def fields_changed(former: Mapping[str, Any], columns: Mapping[str, Any]) -> list[str]:
    """Return the names of an endpoint's columns that are others now; its headers, whenever they are given."""
    plain = {name: list(value) if isinstance(value, tuple) else value for name, value in columns.items()}
    names = [name for name, value in plain.items() if name in former and former[name] != value]
    return sorted([*names, "headers"] if "headers" in columns else names)


def told_of(selection: Selection) -> dict[str, Any]:
    """Return what a selection names."""
    return {
        "customer": selection.customer,
        "endpoint": selection.endpoint_id,
        "message": selection.message_id,
        "event_types": list(selection.event_types),
        "states": [state.name.lower() for state in selection.states],
        "since": None if selection.since is None else to_micros(selection.since),
        "until": None if selection.until is None else to_micros(selection.until),
        "tag": selection.tag,
        "channel": selection.channel,
        "status_class": selection.status_class,
    }


def narrowest(environment: str, *shown: str | None) -> str:
    """Return the first that is given: what an act upon many is about; else the environment."""
    return next((one for one in shown if one is not None), environment)

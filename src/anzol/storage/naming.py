"""Uids of customers: which are made up, and which rows must stay for a uid that was another's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from anzol import ids
from anzol.errors import Conflict
from anzol.model import OPERATIONAL, UNNAMED, Customer, Unset


def made_up(chance: bytes) -> str:
    """Return a uid for a customer that nobody named: 16 bytes of chance, shown."""
    return ids.show(UNNAMED, chance)


def is_made_up(uid: str) -> bool:
    """Say whether nobody named it."""
    return uid.startswith(UNNAMED) and uid != OPERATIONAL


def lasting(environment: str, uid: str, customer_id: bytes) -> bool:
    """Say whether a customer's row must stay, deleted or not, so that its uid is not taken for another customer's.

    Who sends to a uid without a row has the customer with the derived id. After a renaming that is another one.
    """
    return not is_made_up(uid) and customer_id != ids.derive(environment, uid)


def leaves_row(uid: str) -> bool:
    """Say whether a uid that is given up may be used again, by whom the customer now is not meant."""
    return not is_made_up(uid)


def refuse_taken_uid(uid: str) -> Conflict:
    """Return the error for a uid that another customer has."""
    return Conflict(f"There is another customer {uid!r}.", do="Choose another uid, or delete that customer.")


def changes_of(
    customer: Customer, name: str | Unset, metadata: Mapping[str, str] | Unset, throttle: int | Unset | None
) -> dict[str, Any]:
    """Return what is given and differs from what the customer has."""
    given = {"name": name, "metadata": metadata, "throttle": throttle}
    return {
        field: value
        for field, value in given.items()
        if not isinstance(value, Unset) and value != getattr(customer, field)
    }

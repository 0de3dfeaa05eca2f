"""What goes over the wire, in general: names in camelCase, fields of newer clients ignored, times in UTC."""

# Annotations are real objects here: Pydantic reads them.
import re
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Generic, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.alias_generators import to_camel

from anzol.model import UNSET, Unset

T = TypeVar("T")
UID: Final = r"^[a-zA-Z0-9\-_.]+$"
NUMBER: Final = re.compile(r"\s*[+-]?[\d.]+(e[+-]?\d+)?\s*", re.IGNORECASE)
NAME: Final = r"^[a-zA-Z0-9\-_.]+$"


class Shape(BaseModel):
    """What comes in: unknown fields are ignored; what is not given is not in ``model_fields_set``."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="ignore")


class Out(BaseModel):
    """What goes out."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, serialize_by_alias=True)


class Listed(Out, Generic[T]):
    """One page of a list. ``iterator`` goes on, ``prev_iterator`` goes back; ``done``: nothing follows."""

    data: list[T]
    iterator: str | None
    prev_iterator: str | None = None
    done: bool


def in_utc(moment: datetime) -> datetime:
    """Return a time in UTC; one without a zone is meant to be."""
    try:
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except OverflowError:  # the last hours of the year 9999, west of Greenwich
        raise ValueError("it is further away than times are told") from None


def no_number(value: object) -> object:
    """Refuse a number for a time: whether it would be seconds or milliseconds is guessed by its size."""
    if isinstance(value, int | float) or (isinstance(value, str) and NUMBER.fullmatch(value)):
        raise ValueError("a time is written as 2026-01-31T12:00:00Z")
    return value


def no_nul(text: str) -> str:
    """Refuse what no database stores."""
    if any(mark == "\0" or "\ud800" <= mark <= "\udfff" for mark in text):
        raise ValueError("it has a character that cannot be stored")
    return text


Moment = Annotated[datetime, BeforeValidator(no_number), AfterValidator(in_utc)]
Text = Annotated[str, AfterValidator(no_nul)]
Uid = Annotated[str, Field(min_length=1, max_length=256, pattern=UID)]
Metadata = Annotated[dict[str, str], Field(max_length=50)]
EventTypeName = Annotated[str, Field(min_length=1, max_length=256, pattern=NAME)]
# Not the field's own "deprecated": reading such a field warns.
OLD: Final[dict[str, Any]] = {"deprecated": True}
Throttle = Annotated[int, Field(ge=1, le=10_000, description="Deliveries a second at most.")]
OldThrottle = Annotated[Throttle | None, Field(json_schema_extra=OLD, description="As `throttleRate`.")]


class Throttled(Shape):
    """What has a throttle, under the name of today or that of older clients."""

    throttle_rate: Throttle | None = None
    rate_limit: OldThrottle = None

    @property
    def throttle(self) -> int | None:
        """The throttle that is asked for; None: no limit."""
        return self.throttle_rate if self.throttle_rate is not None else self.rate_limit

    @property
    def new_throttle(self) -> int | Unset | None:
        """The throttle as it is to be; `UNSET`: nothing is said of it."""
        return self.throttle if self.model_fields_set & {"throttle_rate", "rate_limit"} else UNSET

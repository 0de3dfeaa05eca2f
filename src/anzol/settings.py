"""The settings: ``ANZOL_...`` in the environment, or ``Webhooks(app, settings=Settings(...))``.

Each is documented at its field. One that is misspelt is refused with the nearest name, and none is read and ignored.
"""

# Annotations are real objects here: Pydantic reads them.
import difflib
import json
import os
import re
import warnings
from collections.abc import Mapping, Sequence
from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated, Any, Final, Self
from urllib.parse import urlsplit

from pydantic import (
    BeforeValidator,
    ByteSize,
    Field,
    FilePath,
    ModelWrapValidatorHandler,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from anzol.addresses import LOOPBACK, Policy
from anzol.addresses import PORTS as OPEN_PORTS
from anzol.errors import SettingsError
from anzol.retry import DEFAULT_SCHEDULE
from anzol.storage.face import Retention
from anzol.storage.opening import derived_keys
from anzol.storage.places import SCHEMA, Place, SqlitePlace, place_of

PREFIX: Final = "ANZOL_"
UNITS: Final = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)?", re.ASCII)
# What Kubernetes puts into every container of a namespace that has a Service called `anzol`.
KUBERNETES: Final = re.compile(r"ANZOL_PORT(_.*)?|ANZOL_SERVICE_.*", re.ASCII)
DEFAULT_URL: Final = "sqlite:///anzol.db"
SHORTEST_OLD_KEY: Final = 4  # characters; less is a piece of a key that has a comma in it
Network = IPv4Network | IPv6Network
# A class method of that name, which Pydantic has superseded, is not needed.
warnings.filterwarnings("ignore", 'Field name "schema" in "Settings" shadows', UserWarning)


def read_duration(value: Any) -> Any:
    """Read ``15s``, ``500ms``, ``5m``, ``2h``, ``3d`` or a number of seconds."""
    if isinstance(value, timedelta):
        return value
    found = DURATION.fullmatch(str(value).strip().lower())
    if found is None:
        raise ValueError(f"{value!r} is not a duration; write it like 500ms, 15s, 5m, 2h or 3d")
    return timedelta(seconds=float(found[1]) * UNITS[found[2] or "s"])


def read_list(value: Any) -> Any:
    """Split text at its commas."""
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def read_keys(value: Any) -> Any:
    """Read keys with commas between them, or a JSON list of them; what is refused is not shown."""
    if not isinstance(value, str) or not value.lstrip().startswith("["):
        return read_list(value)
    try:
        return json.loads(value)
    except ValueError:
        raise ValueError("it begins as a JSON list and is none") from None


def read_schedule(value: Any) -> Any:
    """Read the delays between attempts, such as ``0,5s,5m``."""
    return tuple(read_duration(part) for part in read_list(value))


def read_networks(value: Any) -> Any:
    """Read CIDRs."""
    return tuple(ip_network(part) for part in read_list(value))


def read_ports(value: Any) -> Any:
    """Read ports and ranges of them, such as ``443,8000-8999``, as pairs of the first and the last."""
    pairs = []
    for part in read_list(value):
        first, _, last = part.partition("-") if isinstance(part, str) else (part, "", "")
        pair = (int(first), int(last or first)) if not isinstance(part, tuple) else part
        if not 1 <= pair[0] <= pair[1] <= 65535:
            raise ValueError(f"{part!r} is not a port or a range of ports")
        pairs.append(pair)
    return tuple(pairs)


def read_never(value: Any) -> Any:
    """Read a duration, or ``never`` as None."""
    return None if value is None or str(value).strip().lower() == "never" else read_duration(value)


def read_off(value: Any) -> Any:
    """Read a number, or ``off`` as None."""
    return None if value is None or str(value).strip().lower() == "off" else value


def read_switch(value: Any) -> Any:
    """Read ``on`` or ``off``."""
    return {"on": True, "off": False}.get(str(value).strip().lower(), value)


Duration = Annotated[timedelta, BeforeValidator(read_duration), Field(gt=timedelta(0))]


class Settings(BaseSettings):
    """All settings of one application. In the environment each has the prefix ``ANZOL_``."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="forbid", frozen=True, hide_input_in_errors=True)

    database_url: str = Field(
        default=DEFAULT_URL,
        repr=False,
        description="Where everything is kept: sqlite:///anzol.db, with an absolute path sqlite:////var/lib/anzol.db, "
        "or postgresql://user:password@host:5432/database.",
    )
    schema: str = Field(  # type: ignore[assignment]  # a class method that Pydantic has superseded
        default=SCHEMA,
        description="PostgreSQL: the schema that holds Anzol's tables, and nothing else.",
    )
    pooler: bool = Field(
        default=False,
        description="PostgreSQL: a pooler that lends connections by the transaction, such as PgBouncer, is between. "
        "LISTEN and prepared statements are not used then.",
    )
    secret_key: SecretStr | None = Field(
        default=None,
        description="Encrypts endpoints' secrets and headers; required on PostgreSQL. On SQLite, without it a key file "
        "anzol.key is made by the database.",
    )
    old_secret_keys: Annotated[tuple[SecretStr, ...], NoDecode, BeforeValidator(read_keys)] = Field(
        default=(),
        max_length=20,
        description="Keys that open what they sealed, with commas or as a JSON list, until `anzol secrets rekey` ran.",
    )
    jwt_secret: SecretStr | None = Field(
        default=None,
        min_length=32,
        description="Signs tokens of the REST API (HS256), 32 characters or more; else it is derived from the secret "
        "key.",
    )
    public_url: str | None = Field(
        default=None,
        pattern=r"^https?://[^\s?#]+$",
        description="Where this server is reached from outside, such as https://webhooks.example.com; links to the "
        "portal begin with it.",
    )
    environment: str = Field(
        default="default",
        pattern=r"^[A-Za-z0-9_.-]{1,64}$",
        description="The environment that sends and registrations of this process belong to: production, sandbox.",
    )
    deployment: str | None = Field(
        default=None,
        min_length=1,
        max_length=200,
        description="The mark of the database, so that a copy restored elsewhere does not send; else the environment.",
    )
    worker: Annotated[bool, BeforeValidator(read_switch)] = Field(
        default=True,
        description="on: this process delivers, in a thread of its own. off: `anzol worker` does.",
    )
    retry_schedule: Annotated[tuple[timedelta, ...], NoDecode, BeforeValidator(read_schedule)] = Field(
        default=DEFAULT_SCHEDULE,
        min_length=1,
        max_length=50,
        description="The delays before each attempt, the first included, such as 0,5s,5m,30m,2h; varied by a fifth.",
    )
    delivery_timeout: Annotated[Duration, Field(le=timedelta(minutes=5))] = Field(
        default=timedelta(seconds=15),
        description="How long one attempt may take from resolving the name to the end of the reply's headers and body.",
    )
    connect_timeout: Duration = Field(
        default=timedelta(seconds=5),
        description="How long connecting may take, within the delivery timeout.",
    )
    allow_networks: Annotated[tuple[Network, ...], NoDecode, BeforeValidator(read_networks)] = Field(
        default=(),
        description="Networks (CIDRs, with commas) that the address guard lets through, such as 10.1.0.0/16.",
    )
    https_only: bool = Field(default=False, description="Whether endpoints with http are refused.")
    ports: Annotated[tuple[tuple[int, int], ...], NoDecode, BeforeValidator(read_ports)] = Field(
        default=tuple((ports[0], ports[-1]) for ports in OPEN_PORTS),
        min_length=1,
        description="The ports that endpoints may have, such as 443,8000-8999.",
    )
    payload_limit: ByteSize = Field(
        default=ByteSize(1024 * 1024),
        gt=0,
        le=64 * 1024 * 1024,
        description="The largest body that is accepted, such as 256KiB.",
    )
    api_rate: Annotated[Annotated[int, Field(gt=0)] | None, BeforeValidator(read_off)] = Field(
        default=10_000,
        description="REST API: requests a second that one token or API key of an environment may make, in each "
        "process; or off. Twice as many at once. A batch is one request.",
    )
    portal_rate: Annotated[Annotated[int, Field(gt=0)] | None, BeforeValidator(read_off)] = Field(
        default=50,
        description="REST API: requests a second that all tokens of one customer may make together, in each process; "
        "or off. Twice as many at once.",
    )
    backlog_limit: int = Field(
        default=1_000_000,
        gt=0,
        description="How many deliveries may wait for one endpoint; more are cancelled, and can be recovered.",
    )
    retention: Duration = Field(
        default=timedelta(days=30), description="How long messages and their deliveries are kept after they ended."
    )
    retention_unsubscribed: Duration = Field(
        default=timedelta(days=3), description="How long messages are kept that nobody was subscribed to."
    )
    retention_attempts: Duration = Field(default=timedelta(days=30), description="How long attempts are kept.")
    retention_keys: Duration = Field(
        default=timedelta(days=30), description="How long a message's key is remembered, so that it is not sent twice."
    )
    retention_audit: Duration = Field(
        default=timedelta(days=365), description="How long is remembered who changed what."
    )
    disable_after: Annotated[timedelta | None, BeforeValidator(read_never)] = Field(
        default=timedelta(days=5),
        description="How long an endpoint may fail without one success before it is disabled, such as 5d; or never.",
    )
    ready_overdue: Duration = Field(
        default=timedelta(minutes=5),
        description="How long work may wait for a worker to take it before `/ready` says that the whole is not well.",
    )
    proxy_url: SecretStr | None = Field(
        default=None, description="A proxy for all deliveries, spoken to with CONNECT: http://user:password@host:port."
    )
    ca_bundle: FilePath | None = Field(
        default=None, description="A file of certificates (PEM) trusted besides the machine's own."
    )

    @model_validator(mode="wrap")
    @classmethod
    def speak_plainly(cls, data: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        """Refuse what is misspelt or does not fit, in one `SettingsError` that names it."""
        refuse_unknown_variables(os.environ, cls.known())
        try:
            settings = handler(data)
        except ValidationError as error:
            raise refused(error, cls.known()) from None  # its context would show the values
        settings.check_place()
        check_proxy(settings.proxy_url)
        check_old_keys(settings.secret_key, settings.old_secret_keys)
        return settings

    @classmethod
    def known(cls) -> tuple[str, ...]:
        """Return the names of all settings."""
        return tuple(cls.model_fields)

    @property
    def dev(self) -> bool:
        """Whether this is development: ``FASTAPI_ENV=development``, which `anzol dev` and `fastapi dev` set."""
        return is_development()

    @property
    def place(self) -> Place:
        """Where the database is: a SQLite file, or a schema of a PostgreSQL database. As text it shows no password.

        Raises:
            SettingsError: it is the default file, on a platform that throws files away.
        """
        if "database_url" not in self.model_fields_set:
            refuse_fleeting_disk(os.environ)
        return place_of(self.database_url, schema=self.schema, pooler=self.pooler)

    def check_place(self) -> None:
        """Refuse a URL that cannot be used, and what is set for PostgreSQL beside one of SQLite."""
        place = place_of(self.database_url, schema=self.schema, pooler=self.pooler)
        for name in ("schema", "pooler"):
            if isinstance(place, SqlitePlace) and name in self.model_fields_set:
                raise SettingsError(
                    f"{PREFIX}{name.upper()} is set, and the database is a SQLite file, which has none.",
                    do="Take it away, or name a PostgreSQL database in ANZOL_DATABASE_URL.",
                )

    @property
    def plain_key(self) -> str | None:
        """The secret key as text."""
        return self.secret_key.get_secret_value() if self.secret_key else None

    @property
    def jwt_secrets(self) -> tuple[bytes, ...]:
        """What signs tokens of the REST API, and behind it what else they may be signed with."""
        if self.jwt_secret is not None:
            return (self.jwt_secret.get_secret_value().encode(),)
        old = tuple(key.get_secret_value() for key in self.old_secret_keys)
        return derived_keys(self.place, self.plain_key, old, b"anzol-jwt")

    @property
    def mark(self) -> str:
        """The deployment's mark, which the database carries."""
        return self.deployment or self.environment

    @property
    def policy(self) -> Policy:
        """What the address guard lets through; in development also loopback."""
        return Policy(
            allow_networks=self.allow_networks + (LOOPBACK if self.dev else ()),
            https_only=self.https_only,
            ports=tuple(range(first, last + 1) for first, last in self.ports),
        )

    @property
    def kept(self) -> Retention:
        """How long things are kept."""
        return Retention(
            messages=self.retention,
            unsubscribed=self.retention_unsubscribed,
            attempts=self.retention_attempts,
            keys=self.retention_keys,
            audit=self.retention_audit,
        )


def is_development() -> bool:
    """Say whether this is development, which nothing but this one variable makes it."""
    return os.environ.get("FASTAPI_ENV") == "development"


def refuse_unknown_variables(variables: Mapping[str, str], known: tuple[str, ...]) -> None:
    """Refuse a variable with our prefix that no setting has: it would be read by nobody."""
    names = {PREFIX + name.upper() for name in known}
    for variable in variables:
        name = variable.upper()
        if name.startswith(PREFIX) and name not in names and not KUBERNETES.fullmatch(name):
            raise SettingsError(f"There is no setting {variable}.", do=meant(name, sorted(names)))


def refused(error: ValidationError, known: tuple[str, ...]) -> SettingsError:
    """Turn Pydantic's errors into ours: the first one, in a sentence."""
    fault = error.errors(include_url=False, include_context=False, include_input=False)[0]
    name = str(fault["loc"][0]) if fault["loc"] else ""
    if fault["type"] == "extra_forbidden":
        return SettingsError(f"There is no setting {name!r}.", do=meant(name, sorted(known)))
    reason = fault["msg"].removeprefix("Value error, ")
    return SettingsError(f"The setting {name} ({PREFIX}{name.upper()}) is refused: {reason}.")


def meant(name: str, names: list[str]) -> str:
    """Say which of *names* was probably meant."""
    near = difflib.get_close_matches(name, names, n=1)
    return f"Did you mean {near[0]}?" if near else f"There are: {', '.join(names)}."


def refuse_fleeting_disk(variables: Mapping[str, str]) -> None:
    """Refuse the default path where the disk goes with the container: what was accepted would be lost."""
    for variable, platform in (("KUBERNETES_SERVICE_HOST", "Kubernetes"), ("AWS_LAMBDA_FUNCTION_NAME", "AWS Lambda")):
        if variable in variables:
            raise SettingsError(
                f"This runs on {platform}, where the file anzol.db would be lost with its container.",
                do="Set ANZOL_DATABASE_URL to a PostgreSQL database, or to a file on a disk that stays, such as "
                "sqlite:////data/anzol.db.",
            )


def check_old_keys(current: SecretStr | None, old: Sequence[SecretStr]) -> None:
    """Refuse old keys that are a mistake. They are counted in the error, not shown."""
    seen = {current.get_secret_value(): "ANZOL_SECRET_KEY"} if current else {}
    for number, key in enumerate((key.get_secret_value() for key in old), start=1):
        if len(key) < SHORTEST_OLD_KEY:
            raise SettingsError(
                f"Key {number} of ANZOL_OLD_SECRET_KEYS has fewer than {SHORTEST_OLD_KEY} characters.",
                do='Write whole keys with commas between them; one that has a comma in it as JSON: ["one", "two"].',
            )
        if key in seen:
            raise SettingsError(
                f"Key {number} of ANZOL_OLD_SECRET_KEYS is the same as {seen[key]}.",
                do="Take it out; ANZOL_SECRET_KEY is the key that seals from now on, the old ones only open.",
            )
        seen[key] = f"key {number}"


def check_proxy(proxy: SecretStr | None) -> None:
    """Refuse a proxy's URL that could not be used. The URL is not in the error: it may carry a password."""
    if proxy is None:
        return
    try:
        read = urlsplit(proxy.get_secret_value())
        fits = read.scheme == "http" and read.hostname and read.port and read.path in ("", "/")
    except ValueError:
        fits = False
    if not fits:
        raise SettingsError("ANZOL_PROXY_URL is not a proxy's URL.", do="Write it like http://user:password@host:3128.")

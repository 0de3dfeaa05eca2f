"""What `anzol dev` hands to the process that serves, which is made anew at every reload."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from anzol.cli.discovery import Found

VARIABLE: Final = "_ANZOL_DEV"  # no setting, so not under the settings' prefix
INBOX: Final = "/_anzol/inbox"
INBOX_UID: Final = "anzol-dev-inbox"  # of the endpoint that `--inbox-for` makes, so that a restart finds it


@dataclass(frozen=True, slots=True)
class Plan:
    """What to serve and what to do at the first start.

    ``folder`` is this run's own: the inbox outlives a reload in it. ``inbox_for`` is a customer whose endpoint is the
    inbox; ``send`` an event type of which an example is sent, once in a run.
    """

    module: str
    name: str | None
    path: str
    address: str
    folder: str
    inbox_for: str | None = None
    send: str | None = None
    as_json: bool = False

    @property
    def found(self) -> Found:
        return Found(self.module, self.name, Path(self.path))

    @property
    def inbox(self) -> str:
        return f"{self.address}{INBOX}"

    def receiving(self, name: str) -> str:
        """Return the URL under which the inbox receives for *name*."""
        return f"{self.inbox}/to/{name}"

    def hand_over(self) -> None:
        """Put it where processes made from here find it."""
        os.environ[VARIABLE] = json.dumps(asdict(self))

    @classmethod
    def handed_over(cls) -> Plan:
        """Return what `hand_over` put there."""
        return cls(**json.loads(os.environ[VARIABLE]))

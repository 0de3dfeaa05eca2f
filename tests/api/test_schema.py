"""The API does what its document says: requests that fit it and requests that do not, made up from it.

Beyond what is checked for each answer (no 5xx, a documented status, the content type, the schema, what does not fit is
refused, nobody without a credential is let in) the table of test_matrix.py holds who may do what.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest
import schemathesis
from schemathesis.config import SchemathesisConfig
from schemathesis.core.failures import Failure
from schemathesis.engine import events, from_schema

from anzol.api import access, probe
from tests.api.conftest import Service, make

PHASES: Final = {"coverage", "fuzzing", "stateful"}  # and examples: the document has none
LEFT_OUT: Final = {
    # What makes up a value knows neither our cursors nor which fields go together: much that fits is rightly a 422.
    "positive_data_acceptance",
    # `/msg/batch` is also a message's place, `/endpoint/probe` an endpoint's: more methods are taken than at one.
    "allow_header_conformance",
}
STREAMS: Final = "/live$"  # they do not end
ALIKE: Final = "/operational-webhook/"  # as endpoints are; the long run asks for them too


@dataclass(slots=True)
class Found:
    """What came of a run: requests in each phase, and what went wrong, each kind once."""

    requests: Counter[str] = field(default_factory=Counter)
    faults: dict[tuple[str, str], str] = field(default_factory=dict)

    def note(self, event: events.EngineEvent) -> None:
        """Take down what there was."""
        if isinstance(event, events.NonFatalError):
            self.faults["engine", str(event.label)] = str(event.value)
        elif isinstance(event, events.ScenarioFinished):
            self.requests[event.phase.value.lower()] += len(event.recorder.cases)
            for number, checks in event.recorder.checks.items():
                case = event.recorder.cases[number].value
                for check in checks:
                    info = check.failure_info
                    if info is not None and not is_read_kindly(info.failure, case):
                        told = f"{info.failure.title}: {info.failure.message}\n{info.code_sample}"
                        self.faults.setdefault((check.name, case.operation.label), told)

    def report(self) -> str:
        return "\n\n".join(f"{check}, {operation}: {told}" for (check, operation), told in self.faults.items())


def is_read_kindly(failure: Failure, case: Any) -> bool:
    """Say whether all that did not fit is a number that stands for a truth, or the reverse, such as 0 for false."""
    _, _, told = failure.message.rpartition("in body - ")
    name, _, why = told.partition(": ")
    value = case.body.get(name) if isinstance(case.body, dict) else None
    return why.strip() == "Incorrect type" and isinstance(value, bool | int | float)


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    """An API that holds nobody up; nobody answers to its probes."""
    monkeypatch.setattr(access, "MOST_GUESSES", 1e9)
    monkeypatch.setattr(probe, "DEADLINE", 0.01)
    service = make(f"sqlite:///{tmp_path}/anzol.db", worker=False, api_rate="off", portal_rate="off")
    yield service
    service.webhooks.wait(service.webhooks.close())


def run(service: Service, examples: int, *, without: str = STREAMS, **settings: Any) -> Found:
    """Ask for everything that the document has, in all phases."""
    config = SchemathesisConfig.from_dict(
        {
            "auth": {"openapi": {"Bearer": {"bearer": service.token()}}},
            "generation": {"max-examples": examples, "no-shrink": True, "database": "none"},
            "continue-on-failure": True,
            "checks": {name: {"enabled": False} for name in LEFT_OUT},
            **settings,
        }
    )
    schema = schemathesis.openapi.from_asgi("/openapi.json", service.webhooks.api, config=config)
    found = Found()
    for event in from_schema(schema.exclude(path_regex=without)).execute():
        found.note(event)
    return found


def test_the_api_does_what_its_document_says(service: Service) -> None:
    found = run(
        service,
        examples=1,
        without=f"{STREAMS}|{ALIKE}",
        seed=1,
        phases={"coverage": {"unexpected-methods": ["trace"]}, "stateful": {"max-steps": 4}},
    )

    assert not found.faults, found.report()
    assert set(found.requests) >= PHASES, found.requests


@pytest.mark.faults
@pytest.mark.parametrize("seed", [2, 3])
def test_the_api_does_what_its_document_says_for_long(service: Service, seed: int) -> None:
    found = run(service, examples=20, seed=seed, **{"max-time": 150})  # fuzzing and sequences take turns until then

    assert not found.faults, found.report()
    assert set(found.requests) >= PHASES, found.requests

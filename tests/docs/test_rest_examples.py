"""Every operation of the REST API has an example, which is played; the published document is the present one."""

from __future__ import annotations

import json

import pytest

from tests.docs import rest
from tests.docs.rest_examples import EXAMPLES
from tests.docs.rest_play import operations


def test_every_operation_has_one_example() -> None:
    documented = sorted(name for name, _ in operations(rest.document()))

    assert sorted(example.operation for example in EXAMPLES) == documented


def test_the_published_document_is_the_present_one() -> None:
    assert rest.OPENAPI.read_text() == rest.published(), "run `make docs`"


def test_every_link_on_the_page_has_its_anchor() -> None:
    import re

    text = (rest.ROOT / "docs/reference/rest.md").read_text()
    anchors = set(re.findall(r'<a id="([^"]+)">', text))
    anchors |= {rest.anchor(title) for title in re.findall(r"^#+ ([^`\n]+)$", text, re.MULTILINE)}

    assert set(re.findall(r"\]\(#([^)]+)\)", text)) - anchors == set()


def test_an_example_with_another_answer_than_the_document_says_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.docs import rest_play

    wrong = (rest_play.Example("v1.application.get"),)
    monkeypatch.setattr(rest_play, "EXAMPLES", wrong)

    with pytest.raises(AssertionError, match=r"v1\.application\.get: 404"):
        rest_play.play()


def test_the_published_document_names_every_operation_once() -> None:
    names = [name for name, _ in operations(json.loads(rest.OPENAPI.read_text()))]

    assert len(names) == len(set(names)) > 0

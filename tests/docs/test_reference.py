"""The reference says what the code says."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.pages import ROOT, pages
from tests.docs.reference import MEANINGS, PART, WRITERS, marked, renewed

MARKED = [page for page in pages() if marked(page)]


@pytest.mark.parametrize("page", MARKED, ids=[str(page.relative_to(ROOT)) for page in MARKED])
def test_generated_parts_are_up_to_date(page: Path) -> None:
    text = page.read_text()

    assert renewed(text) == text, "run `make docs`"


def test_every_generated_part_has_its_page() -> None:
    shown = {match["name"] for page in MARKED for match in PART.finditer(page.read_text())}

    assert shown == set(WRITERS)


def test_every_outcome_is_explained() -> None:
    from anzol.lifecycle import Outcome

    assert set(MEANINGS) == {outcome.label for outcome in Outcome}

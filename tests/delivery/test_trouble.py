"""What fails again and again does not fill the log."""

from __future__ import annotations

import logging

import pytest

from anzol.telemetry import REPEATED, Trouble

log = logging.getLogger("anzol.test")


def test_trouble_is_told_when_it_begins_seldom_while_it_lasts_and_when_it_is_over(
    caplog: pytest.LogCaptureFixture,
) -> None:
    trouble = Trouble(log)
    with caplog.at_level(logging.WARNING, "anzol.test"):
        for number in range(REPEATED + 1):
            trouble.tell("failure %d", number)
        trouble.over()
        trouble.over()

    assert caplog.messages == ["failure 0", f"failure {REPEATED}", f"It works again, after {REPEATED + 1} failures."]


def test_one_failure_is_over_without_a_word(caplog: pytest.LogCaptureFixture) -> None:
    trouble = Trouble(log)
    with caplog.at_level(logging.WARNING, "anzol.test"):
        trouble.tell("failure")
        trouble.over()
        trouble.tell("another")

    assert caplog.messages == ["failure", "another"]

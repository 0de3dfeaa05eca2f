"""The player of pages notices when a page is wrong."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.pages import ROOT
from tests.docs.play import fits


def played(page: str, folder: Path) -> subprocess.CompletedProcess[str]:
    path = folder / "page.md"
    path.write_text(page)
    program = [sys.executable, "-m", "tests.docs.play", str(path)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(program, cwd=folder, env=environment, capture_output=True, text=True, check=False)


RIGHT = {
    "one namespace": "```python\na = 1\n```\ntext\n```python\nassert a == 1\n```\n",
    "await at the top": "```python\nimport asyncio\nawait asyncio.sleep(0)\n```\n",
    "a hidden block": "<!-- python\na = 1\n-->\n```python\nassert a == 1\n```\n",
    "a file": '```python title="app/words.py"\nWORD = 1\n```\n```python\nfrom app.words import WORD\n```\n',
    "an error that is shown": '```python raises="KeyError"\n{}[1]\n```\n',
    "a command": "```console\n$ echo one 42; echo two\none 17\n...\n```\n",
    "a command that fails": "```console fails\n$ false\n```\n",
}
WRONG = {
    "an error": "```python\n1 / 0\n```\n",
    "an error that does not come": '```python raises="KeyError"\n1\n```\n',
    "another error": '```python raises="KeyError"\n1 / 0\n```\n',
    "another output": "```console\n$ echo one\ntwo\n```\n",
    "lines in another order": "```console\n$ echo one; echo two\ntwo\none\n```\n",
    "a failing command": "```console\n$ false\n```\n",
    "a command that is not there": "```console norun\n$ anzol nonsense --for-nothing\n```\n",
}


@pytest.mark.parametrize("page", RIGHT.values(), ids=RIGHT)
def test_a_page_that_is_right_passes(page: str, tmp_path: Path) -> None:
    done = played(page, tmp_path)

    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", WRONG.values(), ids=WRONG)
def test_a_page_that_is_wrong_fails(page: str, tmp_path: Path) -> None:
    assert played(page, tmp_path).returncode != 0


def test_a_traceback_names_the_pages_own_line(tmp_path: Path) -> None:
    done = played("# Title\n\n```python\na = 1\n1 / 0\n```\n", tmp_path)

    assert 'page.md", line 5' in done.stderr


@pytest.mark.parametrize(
    ("shown", "said", "fit"),
    [
        ("msg_abc sent", "msg_2xyz sent", True),
        ("took 12 ms", "took 9 ms", True),
        ("a  b", "a b", True),
        ("a ... c", "a anything c", True),
        ("sent", "lost", False),
        ("msg_abc sent", "ep_2xyz sent", False),
    ],
)
def test_numbers_ids_and_blanks_may_differ_words_may_not(shown: str, said: str, fit: bool) -> None:
    assert fits(shown, said) is fit

"""What the pages show is true: every block runs, every link leads somewhere, every included file is as it is."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.pages import ROOT, blocks, pages

TAGS = {"python", "file", "console", "dockerfile", "json", "text", "toml", "ini", "sql", "html", "yaml", "js", "http"}
PAGES = pages()
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]
PLAYED = [page for page in PAGES if page.name != "README.pt-BR.md"]  # its code is README.md's, by the last test here


@pytest.mark.parametrize("page", PLAYED, ids=[str(page.relative_to(ROOT)) for page in PLAYED])
def test_every_block_of_the_page_runs(page: Path, tmp_path: Path) -> None:
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("ANZOL_", "FASTAPI_"))}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    environment |= {"PYTHONPATH": str(ROOT), "NO_COLOR": "1", "COLUMNS": "120", "PYTHONDONTWRITEBYTECODE": "1"}

    played = subprocess.run(
        [sys.executable, "-W", "error", "-m", "tests.docs.play", str(page)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=170,
        check=False,
    )

    assert played.returncode == 0, played.stdout + played.stderr


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_fence_says_what_it_is(page: Path) -> None:
    assert [block.where for block in blocks(page) if block.tag not in TAGS] == []
    assert page.read_text().count("\n```") % 2 == 0


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_included_file_is_shown_as_it_is(page: Path) -> None:
    differing = [
        block.where
        for block in blocks(page)
        if block.include is not None and block.text.strip() != (ROOT / block.include).read_text().strip()
    ]

    assert differing == []


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_json_that_is_shown_can_be_read(page: Path) -> None:
    for block in blocks(page):
        if block.tag == "json":
            json.loads(block.text)


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_link_inside_leads_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    targets = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text)

    assert [to for to in targets if "://" not in to and not (page.parent / to).exists()] == []


def test_both_readmes_show_the_same_code() -> None:
    code = [
        [block.text for block in blocks(ROOT / name) if block.tag in ("python", "console")]
        for name in ("README.md", "README.pt-BR.md")
    ]

    assert code[0] == code[1] != []

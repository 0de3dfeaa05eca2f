"""Read the documentation's pages: their fenced blocks, with what is hidden in comments between them.

What a fence says after its three backticks decides what the tests do with it:

* ``python``: executed, all of a page in one namespace, ``await`` allowed at the top.
* ``python title="app/main.py"``: written to that file in the page's own folder, from where it can be imported.
* ``python raises="InvalidPayload"``: executed; must raise that.
* ``console``: lines after ``$`` are run in the page's folder, other lines are their output (``...`` stands for anything).
  With ``norun`` the commands are only checked to be ones that exist (they would install, publish or never end).
* ``json``: must parse. ``text``, ``dockerfile``, ``toml``, ``ini``, ``sql``, ``html``, ``yaml``, ``js``, ``http``: shown only.

Hidden from readers: ``<!-- python`` ... ``-->`` is executed like a block, ``<!-- file: name`` ... ``-->`` is written like one.
``<!-- include: path -->`` before a fence says that the block is that file, to the letter.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FENCE = re.compile(r"^(?P<indent> *)```(?P<info>[^`\n]*)\n(?P<body>.*?)^(?P=indent)```[ ]*$", re.MULTILINE | re.DOTALL)
HIDDEN = re.compile(r"^<!-- (?P<info>python|file: *[^\s>]+)\n(?P<body>.*?)^-->$", re.MULTILINE | re.DOTALL)
INCLUDE = re.compile(r"<!-- include: (?P<path>\S+) -->\n\Z")
OPTION = re.compile(r'(\w+)(?:="([^"]*)")?')


@dataclass(frozen=True, slots=True)
class Block:
    """One block of a page: its tag, its options, its text, and the line where that starts."""

    page: Path
    line: int
    tag: str
    options: dict[str, str]
    text: str
    include: str | None

    @property
    def where(self) -> str:
        return f"{self.page.name}:{self.line}"


def pages() -> list[Path]:
    """Every page that readers are shown: the READMEs and what is under docs/, decisions apart."""
    found = [*ROOT.glob("README*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/README.md")]
    return sorted(page for page in found if "decisions" not in page.parts)


def blocks(page: Path) -> list[Block]:
    """Return the blocks of *page* in their order, the hidden ones among them."""
    text = page.read_text()
    spans = [(match.start(), block(page, text, match)) for match in FENCE.finditer(text)]
    spans += [(match.start(), hidden(page, text, match)) for match in HIDDEN.finditer(text)]
    return [found for _, found in sorted(spans, key=lambda span: span[0])]


def block(page: Path, text: str, match: re.Match[str]) -> Block:
    words = OPTION.findall(match["info"].strip())
    before = INCLUDE.search(text[: match.start()])
    body = re.sub(rf"^{match['indent']}", "", match["body"], flags=re.MULTILINE)
    tag = words[0][0] if words else ""
    return Block(page, line_of(text, match), tag, dict(words[1:]), body, before["path"] if before else None)


def hidden(page: Path, text: str, match: re.Match[str]) -> Block:
    kind, _, name = match["info"].partition(":")
    options = {"title": name.strip()} if kind == "file" else {}
    return Block(page, line_of(text, match), "python" if kind == "python" else "file", options, match["body"], None)


def line_of(text: str, match: re.Match[str]) -> int:
    return text.count("\n", 0, match.start()) + 2

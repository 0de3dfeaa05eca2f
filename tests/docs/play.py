"""Run one page's blocks in the current folder, as a program of its own: ``python -m tests.docs.play PAGE``.

A failing block leaves a traceback with the page's own line numbers, because that is where it is mended.
"""

from __future__ import annotations

import ast
import asyncio
import inspect
import re
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from tests.docs.pages import Block, blocks

LASTING = re.compile(r"^anzol (dev|worker(?!.*--once))\b")
PATIENCE = 30.0  # seconds until a program must have said what the page shows
NORUN = re.compile(
    r"^([A-Z_]+=\S+ )*(pip|uv|make|git|npm|node|docker|curl|sqlite3|python|pytest|fastapi|uvicorn|export|sudo) ?"
)


class Stage:
    """Where a page is played: its namespace, its running programs."""

    def __init__(self, page: Path, runner: asyncio.Runner) -> None:
        self.runner = runner
        self.module: Any = ModuleType("page")
        self.lasting: list[subprocess.Popen[str]] = []
        self.port = self.module.page_port = free_port()
        self.module.page_path = str(page)
        sys.modules["page"] = self.module
        sys.path.insert(0, str(Path.cwd()))

    def play(self, block: Block) -> None:
        if "title" in block.options:
            write(block)
        elif block.tag == "python":
            self.execute(block)
        elif block.tag == "console":
            for command, output in commands(block):
                self.command(block, command, output)

    def execute(self, block: Block) -> None:
        code = compiled(block)
        expected = block.options.get("raises")
        try:
            outcome = eval(code, self.module.__dict__)
            if inspect.iscoroutine(outcome):
                self.runner.run(outcome)
        except Exception as error:
            if expected is None or expected not in {kind.__name__ for kind in type(error).__mro__}:
                raise
        else:
            assert expected is None, f"{block.where}: nothing was raised, the page says {expected}"

    def command(self, block: Block, command: str, output: str) -> None:
        if command.startswith("anzol dev") and "norun" not in block.options:
            command += f" --port {self.port}"  # the page says 8000, which may be taken here
        command = command.replace("127.0.0.1:8000", f"127.0.0.1:{self.port}")
        if "norun" in block.options:
            assert NORUN.match(command) or exists(command), f"{block.where}: no such command: {command}"
        elif LASTING.match(command):
            self.lasting.append(lasting(command, output, block))
        else:
            done = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=PATIENCE, check=False)
            said = done.stdout + done.stderr
            failed = "fails" in block.options
            assert (done.returncode != 0) == failed, f"{block.where}: {command} ended with {done.returncode}\n{said}"
            assert fits(output, said), f"{block.where}: {command}\n--- the page says\n{output}\n--- it said\n{said}"

    def close(self) -> None:
        for program in self.lasting:
            program.terminate()
            program.communicate(timeout=PATIENCE)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def write(block: Block) -> None:
    path = Path(block.options["title"])
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(block.text)


def compiled(block: Block) -> CodeType:
    source = "\n" * (block.line - 1) + block.text
    return compile(source, str(block.page), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)


def commands(block: Block) -> list[tuple[str, str]]:
    """Split a console block into its commands, each with the output shown after it."""
    found: list[tuple[str, list[str]]] = []
    for line in block.text.splitlines():
        if line.startswith("$ "):
            found.append((line[2:].split("  #")[0].strip(), []))
        elif found and found[-1][0].endswith("\\") and not found[-1][1]:
            found[-1] = (found[-1][0][:-1] + line.strip(), [])
        elif found:
            found[-1][1].append(line)
    return [(command, "\n".join(output).strip()) for command, output in found]


def exists(command: str) -> bool:
    """Whether `anzol` has this subcommand and these options, as its own help says."""
    words = re.sub(r"^([A-Z_]+=\S+ )*", "", command).split()
    names = [word for word in words[1:] if re.fullmatch(r"[a-z-]+", word) and not word.startswith("-")][:2]
    for tried in (names, names[:1]):
        help_text = subprocess.run(["anzol", *tried, "--help"], capture_output=True, text=True, check=False)
        if words[0] == "anzol" and help_text.returncode == 0:
            return all(word.split("=")[0] in help_text.stdout for word in words if word.startswith("--"))
    return False


def lasting(command: str, output: str, block: Block) -> subprocess.Popen[str]:
    """Start a program that stays, and wait until it has said what the page shows."""
    log = Path(f"program-{block.line}.log")
    with log.open("w") as sink:
        program = subprocess.Popen(f"exec {command}", shell=True, stdout=sink, stderr=subprocess.STDOUT, text=True)
    until = time.monotonic() + PATIENCE
    while not fits(output, log.read_text()):
        if program.poll() is not None or time.monotonic() > until:
            program.kill()
            raise AssertionError(
                f"{block.where}: {command}\n--- the page says\n{output}\n--- it said\n{log.read_text()}"
            )
        time.sleep(0.05)
    return program


def fits(shown: str, said: str) -> bool:
    """Whether what a program said has the shown lines in order; ``...``, numbers and ids may differ."""
    plain = re.sub(r"\x1b\[[0-9;]*m", "", said)
    position = 0
    for line in filter(None, (loose(line) for line in shown.splitlines())):
        match = re.compile(line).search(plain, position)
        if match is None:
            return False
        position = match.end()
    return True


def loose(line: str) -> str:
    words = re.escape(line.strip())
    words = words.replace(r"\.\.\.", ".*").replace("…", ".*")
    words = re.sub(r"(msg_|ep_|app_|atmpt_|whsec_)[0-9A-Za-z+/=\\]+", r"\1\\S+", words)
    words = re.sub(r"\d+", r"\\d+", words)
    return re.sub(r"(\\ )+", r"\\s+", words)


def main() -> None:
    """Play the page whose path is given."""
    page = Path(sys.argv[1])
    with asyncio.Runner() as runner:
        stage = Stage(page, runner)
        try:
            for block in blocks(page):
                stage.play(block)
        finally:
            stage.close()


if __name__ == "__main__":
    main()

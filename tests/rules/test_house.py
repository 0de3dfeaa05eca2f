"""The house rules that no linter knows."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path
from statistics import median

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src" / "anzol"
MODULES = sorted(SOURCE.rglob("*.py"))

# A file may be longer than 500 lines, and a function than 50, for a reason written here.
LONG_FILES: dict[str, str] = {
    "storage/face.py": "one protocol, declarations only, read as a whole by whoever writes an engine",
}
LONG_FUNCTIONS: dict[str, str] = {}


def tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


def functions() -> list[tuple[str, int]]:
    """Every function with the number of its lines, docstring left out."""
    found = []
    for module in MODULES:
        for node in ast.walk(ast.parse(module.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                documented = ast.get_docstring(node) is not None and len(node.body) > 1
                start = node.body[1 if documented else 0].lineno
                length = (node.end_lineno or start) - start + 2
                found.append((f"{module.relative_to(SOURCE)}:{node.name}", length))
    return found


def imports(module: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def test_no_module_carries_an_underscore() -> None:
    names = [module.stem for module in MODULES if module.stem not in ("__init__", "__main__")]

    assert [name for name in names if name.startswith("_")] == []


def test_no_file_is_long_without_a_reason() -> None:
    lengths = {str(module.relative_to(SOURCE)): len(module.read_text().splitlines()) for module in MODULES}

    assert {name: length for name, length in lengths.items() if length > 500 and name not in LONG_FILES} == {}


def test_no_function_is_long_without_a_reason() -> None:
    assert [(name, length) for name, length in functions() if length > 50 and name not in LONG_FUNCTIONS] == []


def test_functions_are_short() -> None:
    lengths = sorted(length for _, length in functions())

    assert median(lengths) <= 8
    assert lengths[len(lengths) * 9 // 10] <= 30


def test_every_reason_still_excuses_something() -> None:
    lengths = {str(module.relative_to(SOURCE)): len(module.read_text().splitlines()) for module in MODULES}

    assert [name for name in LONG_FILES if lengths.get(name, 0) <= 450] == []
    assert [name for name in LONG_FUNCTIONS if dict(functions()).get(name, 0) <= 50] == []


def test_only_declarations_knows_fastapis_routing() -> None:
    knowing = [module.name for module in MODULES if any(name.startswith("fastapi.routing") for name in imports(module))]

    assert set(knowing) <= {"declarations.py", "routes.py"}


def test_the_vocabulary_is_kept_in_names() -> None:
    banned = re.compile(r"(?i)(?:\b|_)(?:job|hook|callback|tenant|consumer|destination)s?(?:\b|_)")
    definitions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)

    found = [
        f"{module.relative_to(SOURCE)}:{node.lineno} {node.name}"
        for module in MODULES
        for node in ast.walk(ast.parse(module.read_text()))
        if isinstance(node, definitions) and banned.search(node.name)
    ]

    assert found == []


@pytest.mark.parametrize("word", ["/ro" + "ot/", "/wo" + "rk/", "/tm" + "p/anzol", "files.python" + "hosted.org"])
def test_no_tracked_file_names_a_machine(word: str) -> None:
    naming = [path for path in tracked() if word.encode() in path.read_bytes()]

    assert naming == []


def test_requirement_files_are_hashed_and_name_no_host() -> None:
    for path in (ROOT / "requirements").glob("*.txt"):
        text = path.read_text()
        pinned = re.findall(r"^[a-z0-9-]+==[^\n]*(?:\n    --hash=sha256:[0-9a-f]{64}[ \\]*)+", text, re.MULTILINE)

        assert len(pinned) == len(re.findall(r"^\S+==", text, re.MULTILINE)) > 10
        assert "://" not in text


def test_no_import_is_marked_ignored_without_a_reason() -> None:
    bare = []
    for module in MODULES:
        for number, line in enumerate(module.read_text().splitlines(), 1):
            if re.search(r"#\s*type:\s*ignore(?!\[[a-z-, ]+\]\s+#\s*\S)", line):
                bare.append(f"{module.relative_to(SOURCE)}:{number}")

    assert bare == []

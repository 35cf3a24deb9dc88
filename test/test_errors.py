"""docs/errors.md: every row names a test that there is."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

DOCUMENT = Path(__file__).resolve().parents[1] / "docs/errors.md"
ROWS = re.findall(r"^\| .* \| .* \| .* \| \[(\w+)\]\((.*?)\) \|$", DOCUMENT.read_text(), re.MULTILINE)


def test_all_rows_are_understood() -> None:
    tables = re.findall(r"^\| (?!input|-)", DOCUMENT.read_text(), re.MULTILINE)
    assert len(ROWS) == len(tables) > 60


@pytest.mark.parametrize("file", sorted({file for _, file in ROWS}))
def test_every_test_that_a_row_names_exists(file: str) -> None:
    tree = ast.parse((DOCUMENT.parent / file).read_text())
    tests = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    assert {name for name, other in ROWS if other == file} <= tests

"""Everything public says what it is, and every field that is an array its shape and dtype or unit."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MODULES = {
    path.relative_to(ROOT): ast.parse(path.read_text(encoding="utf-8"))
    for path in sorted((ROOT / "clip2scene_core").rglob("*.py"))
}
DOCUMENTED_ELSEWHERE = {"backward", "extra_repr", "forward", "invoke", "render"}
"""Methods whose meaning PyTorch, Typer and Rich document."""

ARRAY = re.compile(r"(np\.ndarray|Tensor)( \| None)?")
SHAPE = re.compile(r"\((\d+|[A-Z])[^()]*,[^()]*\)")
DTYPE = re.compile(r"\b(bool|u?int\d+|float\d+|floating|structured)\b")
UNIT = re.compile(r"\b(metres|radians|degrees|pixels|seconds|nanoseconds|in voxels|rad/m)\b")
UNIT_OF_NAME = re.compile(r"_(m|deg|rad|ns|ms|s|hz)$")


def complaint(field: str, docstring: str) -> str:
    """What the docstring of an array's field lacks; empty where it lacks nothing."""
    if not SHAPE.search(docstring):
        return "no shape such as (N, 3)"
    if not (DTYPE.search(docstring) or UNIT.search(docstring) or UNIT_OF_NAME.search(field)):
        return "neither dtype nor unit"
    return ""


def array_fields(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """`Class.field` and docstring, or '', of each annotated array in the bodies of classes."""
    for parent in (node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)):
        for node, after in zip(parent.body, [*parent.body[1:], None], strict=True):
            if isinstance(node, ast.AnnAssign) and ARRAY.fullmatch(ast.unparse(node.annotation)):
                text = after.value if isinstance(after, ast.Expr) else None
                told = isinstance(text, ast.Constant) and isinstance(text.value, str)
                yield f"{parent.name}.{ast.unparse(node.target)}", text.value if told else ""


def public(node: ast.Module | ast.ClassDef) -> Iterator[tuple[str, ast.ClassDef | ast.FunctionDef]]:
    """Classes and functions, and those inside classes, that have no leading underscore."""
    for child in node.body:
        if isinstance(child, ast.ClassDef | ast.FunctionDef) and not child.name.startswith("_"):
            yield child.name, child
            if isinstance(child, ast.ClassDef):
                yield from ((f"{child.name}.{name}", inner) for name, inner in public(child))


def documented_by_protocols() -> set[str]:
    """Names of methods that a Protocol explains once for all who implement it."""
    classes = [node for tree in MODULES.values() for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    protocols = [node for node in classes if "Protocol" in map(ast.unparse, node.bases)]
    return {name for p in protocols for name, method in public(p) if ast.get_docstring(method)}


@pytest.mark.parametrize(
    ("field", "docstring", "expected"),
    [
        ("xyz", "(N, 3) float32, metres, frame `frame_id`.", ""),
        ("range_m", "(N,) along the ray.", ""),
        ("xyz", "Points of the scan, float32.", "no shape such as (N, 3)"),
        ("xyz", "(see above) float32.", "no shape such as (N, 3)"),
        ("normal", "(N, 3) towards the ray.", "neither dtype nor unit"),
        ("xyz", "", "no shape such as (N, 3)"),
    ],
)
def test_this_reads_docstrings(field, docstring, expected):
    """The reader itself, on a class made for it."""
    tree = ast.parse(f"class A:\n    before: int\n    {field}: np.ndarray | None = None\n    {docstring!r}\n")
    assert [(name, complaint(name, text)) for name, text in array_fields(tree)] == [(f"A.{field}", expected)]


def test_every_array_says_its_shape_and_its_dtype_or_unit():
    found = {f"{path}: {name}": text for path, tree in MODULES.items() for name, text in array_fields(tree)}
    assert "clip2scene_core/types.py: LidarScan.xyz" in found
    lacking = {name: complaint(name, text) for name, text in found.items()}
    assert {name: what for name, what in lacking.items() if what} == {}


def test_every_public_module_class_and_function_says_what_it_is():
    explained = DOCUMENTED_ELSEWHERE | documented_by_protocols()
    silent = [str(path) for path, tree in MODULES.items() if not ast.get_docstring(tree)]
    for path, tree in MODULES.items():
        silent += [
            f"{path}: {name}"
            for name, node in public(tree)
            if not ast.get_docstring(node) and node.name not in explained
        ]
    assert silent == []

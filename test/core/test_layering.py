"""The rules of imports: layers point one way, values need NumPy only, ROS and heavy packages stay outside."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[2]
VALUES = {
    "camera_info", "cameras", "colours", "config", "deskew", "distortion", "errors", "geometry", "ground",
    "images", "labels", "locking", "merging", "pairing", "palette", "parallel", "point_times",
    "pointcloud2", "progress", "stamps", "superpixels", "superpoints", "trajectory", "types", "voxels",
    "writing",
}  # fmt: skip
EDGES = {
    "__main__", "build", "checkpoint", "cli", "evaluation", "evidence", "inference", "terminal", "training",
}  # fmt: skip
LAYERS = (
    VALUES,
    {"simulation"},
    {"clip"},
    {"sparse"},
    {"student"},
    {"augment", "crops", "losses", "metrics"},
    {"data"},
    EDGES,
)
ROS = {
    "ament_index_python",
    "launch",
    "launch_ros",
    "message_filters",
    "rclpy",
    "sensor_msgs_py",
    "tf2_py",
    "tf2_ros",
}
HEAVY = {
    "huggingface_hub", "kiss_icp", "lightning", "nuscenes", "open_clip", "rerun", "skimage", "spconv", "timm",
}  # fmt: skip


class Import(NamedTuple):
    """One imported module, by whom, and whether it happens when the importing module is loaded."""

    importer: str
    imported: str
    at_load: bool


def imports_of(path: Path) -> Iterator[Import]:
    """Every import in a file, those of `if TYPE_CHECKING:` left out."""
    importer = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    stack: list[tuple[ast.AST, bool]] = [(ast.parse(path.read_text(encoding="utf-8")), True)]
    while stack:
        node, at_load = stack.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if isinstance(node, ast.Import):
            yield from (Import(importer, alias.name, at_load) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (Import(importer, name, at_load) for name in _from_names(node, importer))
        inside = at_load and not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        stack.extend((child, inside) for child in ast.iter_child_nodes(node))


def _from_names(node: ast.ImportFrom, importer: str) -> list[str]:
    """What `from x import a, b` imports: x.a and x.b where these are modules, else x."""
    assert not node.level, f"{importer}: relative import"
    folder = ROOT.joinpath(*node.module.split("."))
    names = [alias.name for alias in node.names]
    is_module = [
        (folder / f"{name}.py").is_file() or (folder / name / "__init__.py").is_file() for name in names
    ]
    return [
        f"{node.module}.{name}" if module else node.module
        for name, module in zip(names, is_module, strict=True)
    ]


def imports(package: str) -> list[Import]:
    return [found for path in sorted((ROOT / package).rglob("*.py")) for found in imports_of(path)]


CORE = imports("clip2scene_core")


def part(module: str) -> str:
    """`clip2scene_core.data.rosbag` is part of `data`."""
    return [*module.split("."), ""][1]


def layer(module: str) -> int:
    """The number of the layer; a new part of the core has to be given one."""
    numbers = [number for number, parts in enumerate(LAYERS) if part(module) in parts]
    assert numbers, f"{module} is in no layer: add it to LAYERS"
    return numbers[0]


def within_core() -> list[Import]:
    return [i for i in CORE if i.imported.startswith("clip2scene_core.") and i.importer != "clip2scene_core"]


def test_this_reads_imports(tmp_path, monkeypatch):
    """The reader itself, on a file made for it."""
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b.py").write_text("")
    (tmp_path / "a" / "c.py").write_text(
        "import x.y\nfrom a import b, d\nif TYPE_CHECKING:\n    import never\ndef f():\n    import late\n"
    )
    assert set(imports_of(tmp_path / "a" / "c.py")) == {
        Import("a.c", "x.y", True), Import("a.c", "a.b", True), Import("a.c", "a", True),
        Import("a.c", "late", False),
    }  # fmt: skip


def test_imports_point_to_the_same_or_an_earlier_layer():
    upwards = [i for i in within_core() if layer(i.imported) > layer(i.importer)]
    assert upwards == []


def test_no_module_imports_itself_by_way_of_others():
    graph: dict[str, set[str]] = {}
    for found in within_core():
        if found.at_load:
            graph.setdefault(found.importer, set()).add(found.imported)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"import cycle: {' -> '.join(error.args[1])}")


def test_only_the_edges_know_the_configuration():
    knowing = {part(i.importer) for i in within_core() if part(i.imported) == "config"}
    assert knowing <= EDGES | {"config"}


def test_the_core_knows_no_ros():
    foreign = [i for i in CORE if (top := i.imported.split(".")[0]) in ROS or top.endswith("_msgs")]
    assert foreign == []


def test_the_core_knows_the_ros_package_only_in_the_command_that_starts_it():
    knowing = [i for i in CORE if i.imported.split(".")[0] == "clip2scene_ros"]
    assert all(i.importer == "clip2scene_core.cli.demo" and not i.at_load for i in knowing), knowing


@pytest.mark.parametrize("package", ["clip2scene_core", "clip2scene_ros"])
def test_heavy_packages_are_imported_where_they_are_used(package):
    heavy = [i for i in imports(package) if i.at_load and i.imported.split(".")[0] in HEAVY]
    assert heavy == []


def test_values_and_simulation_load_without_torch():
    """In a fresh interpreter, so that what they import in turn counts too."""
    modules = [
        f"clip2scene_core.{name}"
        for name in sorted(VALUES)
        if (ROOT / f"clip2scene_core/{name}.py").is_file()
    ]
    modules += sorted({i.importer for i in CORE if part(i.importer) == "simulation"})
    code = f"import sys, {', '.join(modules)}; print(*sorted({{'torch', 'rclpy'}} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr


@pytest.mark.parametrize("package", ["clip2scene_core", "clip2scene_ros"])
def test_only_the_command_line_and_executables_print_and_exit(package):
    found = []
    for path in sorted((ROOT / package).rglob("*.py")):
        body = ast.parse(path.read_text(encoding="utf-8")).body
        library = [node for node in body if not ast.unparse(node).startswith(("def main(", "if __name__"))]
        calls = {ast.unparse(n.func) for top in library for n in ast.walk(top) if isinstance(n, ast.Call)}
        if path.name != "cli.py" and calls & {"print", "exit", "sys.exit", "breakpoint"}:
            found.append(path.relative_to(ROOT))
    assert found == []

"""Launch files and RViz configuration name what the node really has; `launch` itself is not at hand."""

from __future__ import annotations

import ast
import runpy
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
NODE = ast.parse((ROOT / "clip2scene_ros" / "node.py").read_text())


class Recorded:
    """Stands for any class of `launch`: keeps its name and arguments."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.args, self.kwargs = args, kwargs


@pytest.fixture
def launch_description(monkeypatch):
    """Runs a launch file against stand-ins; gives its actions by class name."""

    def run(name: str) -> dict[str, list[Recorded]]:
        path = ROOT / "launch" / name
        for statement in ast.walk(ast.parse(path.read_text())):
            if isinstance(statement, ast.ImportFrom):
                module = sys.modules.get(statement.module)
                if not isinstance(module, StandIn):
                    module = StandIn(statement.module)
                    monkeypatch.setitem(sys.modules, statement.module, module)
                for imported in statement.names:
                    setattr(module, imported.name, type(imported.name, (Recorded,), {}))
        description = runpy.run_path(str(path))["generate_launch_description"]()
        actions: dict[str, list[Recorded]] = {}
        for action in description.args[0]:
            actions.setdefault(type(action).__name__, []).append(action)
        return actions

    return run


class StandIn(ModuleType):
    """A module made up for a test."""


def arguments(actions: dict[str, list[Recorded]]) -> dict[str, str | None]:
    return {a.args[0]: a.kwargs.get("default_value") for a in actions["DeclareLaunchArgument"]}


def topics_of_node() -> set[str]:
    """The private topics that node.py advertises."""
    strings = (n.value for n in ast.walk(NODE) if isinstance(n, ast.Constant) and isinstance(n.value, str))
    return {text.replace("~", "/segment") for text in strings if text.startswith("~/")}


def test_the_node_is_started_with_its_parameters_and_topics(launch_description) -> None:
    actions = launch_description("segment.launch.py")
    node, rviz = actions["Node"]
    assert (node.kwargs["package"], node.kwargs["executable"]) == ("clip2scene_ros", "segment")
    assert "segment = clip2scene_ros.node:main" in (ROOT / "setup.py").read_text()
    ((source, target),) = node.kwargs["remappings"]
    assert source.replace("~", "/segment") in topics_of_node() and target.args == ("points",)
    file, override = node.kwargs["parameters"]
    assert file.args == ("params",) and list(override) == ["fixed_frame"]
    assert override["fixed_frame"].kwargs["value_type"] is str
    given = arguments(actions)
    assert given["rviz"] == "false" and given["fixed_frame"] == "odom"
    for path in (given["params"], rviz.kwargs["arguments"][1]):
        share, *parts = path.args[0]
        assert share.args == ("clip2scene_ros",) and ROOT.joinpath(*parts).is_file()


def test_the_demo_plays_a_bag_into_the_same_node(launch_description) -> None:
    actions = launch_description("demo.launch.py")
    (play,) = actions["ExecuteProcess"]
    words = [word if isinstance(word, str) else f"${word.args[0]}" for word in play.kwargs["cmd"]]
    assert words == ["ros2", "bag", "play", "$bag", "--rate", "$rate", "--delay", "10"]
    (included,) = actions["IncludeLaunchDescription"]
    passed = dict(included.kwargs["launch_arguments"])
    assert set(passed) <= set(arguments(launch_description("segment.launch.py")))
    _, *parts = included.args[0].args[0].args[0]
    assert ROOT.joinpath(*parts).is_file()


def displays() -> dict[str, dict[str, Any]]:
    content = yaml.safe_load((ROOT / "rviz" / "segment.rviz").read_text())
    return {d["Class"].partition("/")[2]: d for d in content["Visualization Manager"]["Displays"]}


def test_rviz_shows_the_topics_of_the_node_with_matching_quality_of_service() -> None:
    cloud, legend = displays()["PointCloud2"], displays()["MarkerArray"]
    assert {cloud["Topic"]["Value"], legend["Topic"]["Value"]} <= topics_of_node()
    assert legend["Topic"]["Durability Policy"] == "Transient Local"
    assert cloud["Color Transformer"] == "RGB8" and cloud["Position Transformer"] == "XYZ"
    assert all(d["Enabled"] and d["Class"].startswith("rviz_default_plugins/") for d in displays().values())
    assert set(displays()) == {"Grid", "PointCloud2", "MarkerArray", "TF"}

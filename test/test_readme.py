"""What the documents promise exists: commands and their options, files, make targets, configurations."""

from __future__ import annotations

import ast
import re
import shlex
from pathlib import Path

import pytest
import typer

from clip2scene_core.cli import app
from clip2scene_core.config import RunConfig, TrainingConfig, load
from clip2scene_core.data.open import SOURCES
from clip2scene_core.labels import LabelSet

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
DOCUMENTS = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md")),
    *sorted((ROOT / "docs").glob("*.md")),
]
CONFIGURATIONS = sorted((ROOT / "config").glob("*.yaml"))


def extras() -> dict[str, list[str]]:
    """What setup.py assigns to EXTRAS."""
    for node in ast.parse((ROOT / "setup.py").read_text()).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "EXTRAS":
            return ast.literal_eval(node.value)
    raise AssertionError("setup.py has no EXTRAS")


def commands_in(path: Path, program: str) -> list[str]:
    """Code in blocks and sentences of Markdown, or in comments of YAML, that begins with a program."""
    text = path.read_text()
    if path.suffix == ".md":
        blocks = re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
        code = [line for block in blocks for line in block.splitlines()]
        code += re.findall(r"(?<!`)`([^`\n]+)`(?!`)", text)
    else:
        code = re.findall(r"^#\s+(.*)$", text, re.MULTILINE)
    return [line for line in code if re.match(rf"{program}( |$)", line)]


def all_commands(program: str) -> list[tuple[str, str]]:
    paths = [*DOCUMENTS, *CONFIGURATIONS]
    return [(path.name, command) for path in paths for command in commands_in(path, program)]


@pytest.mark.parametrize(("document", "line"), all_commands("clip2scene"))
def test_a_command_exists_with_its_options(document, line):
    """Parsing as the command line does it: raises for an unknown command, option, or missing argument."""
    _, *words = shlex.split(line, comments=True)
    if words:
        group = typer.main.get_command(app)
        assert words[0] in group.commands, f"{document}: {line}"
        if len(words) > 1:
            group.commands[words[0]].make_context(words[0], words[1:])


def test_the_readme_shows_the_commands():
    shown = {shlex.split(line)[1] for line in commands_in(ROOT / "README.md", "clip2scene") if " " in line}
    assert {"inspect", "label", "convert", "evaluate", "simulate", "finetune"} <= shown


def test_recordings_are_those_that_can_be_opened():
    for line in commands_in(ROOT / "README.md", "clip2scene (label|convert|evaluate|finetune)"):
        assert shlex.split(line)[2] in {*SOURCES, "simulated"}, line
    (sentence,) = re.findall(r"^Recordings: (.*?)\. ", README, re.MULTILINE | re.DOTALL)
    assert set(re.findall(r"`([^`]+)`", sentence)) == {*SOURCES, "simulated"}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_what_is_linked_exists(document):
    links = re.findall(r"\]\(([^)\s]+)\)", document.read_text())
    targets = [link.partition("#")[0] for link in links if not re.match(r"https?://|#|mailto:", link)]
    assert [target for target in targets if not (document.parent / target).exists()] == []


def test_the_readme_links_to_picture_and_figures():
    for target in ("docs/images/demo.png", "docs/benchmarks.md"):
        assert f"]({target})" in README


@pytest.mark.parametrize(("document", "line"), all_commands("make"))
def test_a_make_target_and_its_variables_exist(document, line):
    makefile = (ROOT / "Makefile").read_text()
    targets = re.findall(r"^([\w-]+):", makefile, re.MULTILINE)
    variables = re.findall(r"^(?:export )?(\w+) \?=", makefile, re.MULTILINE)
    for word in shlex.split(line, comments=True)[1:]:
        name, is_variable, _ = word.partition("=")
        assert name in (variables if is_variable else targets), f"{document}: {line}"


def test_a_launch_file_takes_its_arguments():
    lines = commands_in(ROOT / "README.md", "ros2 launch clip2scene_ros")
    assert lines
    for line in lines:
        file, *arguments = shlex.split(line, comments=True)[3:]
        declared = re.findall(r"DeclareLaunchArgument\(\s*\"(\w+)\"", (ROOT / "launch" / file).read_text())
        assert {argument.partition(":=")[0] for argument in arguments} <= set(declared), line


def test_extras_exist():
    sources = [path for package in ("core", "ros") for path in (ROOT / f"clip2scene_{package}").rglob("*.py")]
    named = {
        extra
        for path in sources
        for extra in re.findall(r"MissingExtraError\([^\n]*, \"(\w+)\"\)", path.read_text())
    }
    for document in DOCUMENTS:
        for group in re.findall(r"\.\[([\w,]+)\]", document.read_text()):
            named |= set(group.split(","))
    assert {"ros", "train"} <= named <= set(extras())


def test_the_words_are_those_of_the_label_set():
    (sentence,) = re.findall(r"checkpoint speaks `street`: (.*?)\. ", README, re.DOTALL)
    assert tuple(" ".join(sentence.split()).split(", ")) == LabelSet.named("street").names
    (others,) = re.findall(r"Other label sets \((.*?)\)", README, re.DOTALL)
    assert {"street", *re.findall(r"`(\w+)`", others)} == set(LabelSet.shipped())


def test_every_configuration_is_known():
    """Of the node and of calibration: test/ros/test_parameters.py and test/core/data/test_calibration.py."""
    assert [path.name for path in CONFIGURATIONS] == [
        "calibration.yaml",
        "finetune_town.yaml",
        "segment.yaml",
    ]


def test_the_configuration_of_the_shipped_checkpoint_loads():
    run = load(RunConfig, ROOT / "config" / "finetune_town.yaml")
    assert run.label_set == "street"
    assert run.student.width <= 0.5
    assert run.training != TrainingConfig()

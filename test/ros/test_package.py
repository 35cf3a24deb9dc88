"""The package as colcon and pip install it, and the consistency of what its manifests say."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).resolve().parents[2]
MANIFEST = ElementTree.parse(ROOT / "package.xml").getroot()
OURS = ("clip2scene_core", "clip2scene_ros")
ROS = re.compile(
    r".*_msgs|.*_interfaces|rclpy|launch|launch_ros|message_filters|tf2_\w+|sensor_msgs_py|ament_\w+"
)
"""Names of packages that come with ROS."""
PINS = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
SHIPPED = [
    "launch", "config", "rviz", "resource", "clip2scene_core", "clip2scene_ros",
    "package.xml", "setup.py", "setup.cfg", "pyproject.toml", "README.md", "LICENSE",
]  # fmt: skip


@pytest.fixture(scope="module")
def workspace(tmp_path_factory) -> Path:
    """A colcon workspace with a copy of the sources: a build leaves files beside them."""
    source = tmp_path_factory.mktemp("workspace") / "src" / "clip2scene_ros"
    source.mkdir(parents=True)
    for name in SHIPPED:
        path = ROOT / name
        if path.is_dir():
            shutil.copytree(path, source / name, ignore=shutil.ignore_patterns("__pycache__"))
        elif path.is_file():
            shutil.copy(path, source / name)
    return source.parents[1]


def run(*command: str, cwd: Path, **environment: str) -> str:
    done = subprocess.run(
        command, cwd=cwd, env=os.environ | environment, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def installed(workspace) -> Path:
    """What `colcon build` installs."""
    colcon = Path(sys.executable).with_name("colcon")
    if not colcon.is_file():
        pytest.skip("colcon is not installed: pip install colcon-common-extensions")
    run(
        str(colcon), "build", "--event-handlers", "console_direct+", cwd=workspace, COLCON_HOME=str(workspace)
    )
    return workspace / "install" / "clip2scene_ros"


def sourced(installed: Path, command: str) -> subprocess.CompletedProcess:
    """What a shell makes of a command after the setup file of the workspace; $PYTHON is this interpreter."""
    return subprocess.run(
        ["bash", "-c", f"source {installed.parent / 'setup.bash'} && {command}"],
        cwd=installed,
        env=os.environ | {"PYTHON": sys.executable},
        capture_output=True,
        text=True,
        timeout=240,
    )


class TestColcon:
    def test_installs_every_shared_file(self, installed):
        share = installed / "share" / "clip2scene_ros"
        assert (share / "package.xml").read_bytes() == (ROOT / "package.xml").read_bytes()
        for folder, pattern in (("launch", "*.launch.py"), ("config", "*.yaml"), ("rviz", "*.rviz")):
            expected = {path.name for path in (ROOT / folder).glob("*") if "__pycache__" not in path.name}
            assert expected and expected == {path.name for path in (share / folder).glob(pattern)}, folder

    def test_is_in_the_ament_index(self, installed):
        index = installed / "share" / "ament_index" / "resource_index" / "packages"
        assert [path.name for path in index.iterdir()] == ["clip2scene_ros"]

    def test_installs_the_executables_where_ros2_run_looks(self, installed):
        executables = installed / "lib" / "clip2scene_ros"
        for name in ("segment", "clip2scene", "train_from_bag"):
            assert os.access(executables / name, os.X_OK), name

    def test_what_it_installs_is_found_after_sourcing_the_workspace(self, installed):
        (packages,) = installed.glob("lib/python*/site-packages")
        code = "import clip2scene_core.labels as m; print(m.__file__); m.LabelSet.named('street')"
        assert sourced(installed, f'"$PYTHON" -c "{code}"').stdout.startswith(str(packages))

    @pytest.mark.parametrize("command", ["{bin}/clip2scene", '"$PYTHON" -m clip2scene_core'])
    def test_the_command_line_runs(self, installed, command):
        done = sourced(installed, command.format(bin=installed / "lib/clip2scene_ros") + " --version")
        assert done.stdout == f"clip2scene {MANIFEST.findtext('version')}\n", done.stderr

    @pytest.mark.parametrize("command", ["{bin}/segment", '"$PYTHON" -m clip2scene_ros.node'])
    def test_the_node_runs(self, installed, command):
        """As far as its parameters, of which one has a wrong name."""
        arguments = " --ros-args -p sweps:=1"
        done = sourced(installed, command.format(bin=installed / "lib/clip2scene_ros") + arguments)
        assert done.returncode == 1
        assert "unknown parameter 'sweps'; did you mean 'sweeps'?" in done.stderr

    def test_installs_the_package_data(self, installed):
        (core,) = installed.glob("lib/python*/site-packages/clip2scene_core")
        for pattern in ("label_sets/*.yaml", "checkpoints/*.safetensors", "clip/models/*/*"):
            assert {p.name for p in core.glob(pattern)} == {
                p.name for p in (ROOT / "clip2scene_core").glob(pattern)
            }


@pytest.fixture(scope="module")
def wheel(workspace) -> zipfile.ZipFile:
    """What `pip install .` installs."""
    out = workspace / "wheel"
    run(
        sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation",
        "--wheel-dir", str(out), str(workspace / "src" / "clip2scene_ros"), cwd=workspace,
    )  # fmt: skip
    (path,) = out.glob("*.whl")
    return zipfile.ZipFile(path)


class TestPip:
    def read(self, wheel: zipfile.ZipFile, suffix: str) -> str:
        (name,) = [name for name in wheel.namelist() if name.endswith(suffix)]
        return wheel.read(name).decode()

    def test_metadata_is_that_of_the_ros_manifest(self, wheel):
        metadata = self.read(wheel, "METADATA")
        for field, tag in (("Version", "version"), ("Summary", "description"), ("License", "license")):
            assert f"\n{field}: {MANIFEST.findtext(tag)}\n" in metadata
        assert "\nName: clip2scene_ros\n" in metadata.replace("clip2scene-ros", "clip2scene_ros")

    def test_extras_and_entry_points(self, wheel):
        extras = set(re.findall(r"^Provides-Extra: (.+)$", self.read(wheel, "METADATA"), re.MULTILINE))
        assert {"ros", "clip", "train", "nuscenes", "viz", "dev"} <= extras
        points = self.read(wheel, "entry_points.txt")
        assert "clip2scene = clip2scene_core.cli:main" in points
        assert "segment = clip2scene_ros.node:main" in points
        assert "train_from_bag = clip2scene_ros.train_from_bag:main" in points

    def test_holds_both_packages_and_the_shared_files_but_no_tests(self, wheel):
        names = wheel.namelist()
        assert {"clip2scene_core/cli/app.py", "clip2scene_ros/node.py"} <= set(names)
        assert any(name.endswith("share/clip2scene_ros/package.xml") for name in names)
        assert not [name for name in names if name.startswith(("test", "ros_wheels"))]

    def test_every_missing_extra_that_the_code_names_exists(self, wheel):
        extras = set(re.findall(r"^Provides-Extra: (.+)$", self.read(wheel, "METADATA"), re.MULTILINE))
        named = set()
        for path in [*(ROOT / "clip2scene_core").rglob("*.py"), *(ROOT / "clip2scene_ros").rglob("*.py")]:
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and ast.unparse(node.func) == "MissingExtraError":
                    named.add(ast.literal_eval([*node.args, *(k.value for k in node.keywords)][-1]))
        assert named and named <= extras


class TestManifest:
    def depends(self) -> set[str]:
        return {element.text for element in MANIFEST if element.tag in ("depend", "exec_depend")}

    def imported(self, package: str) -> set[str]:
        tops = set()
        for path in [*(ROOT / package).rglob("*.py"), *(ROOT / "launch").glob("*.py")]:
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Import):
                    tops |= {alias.name.split(".")[0] for alias in node.names}
                elif isinstance(node, ast.ImportFrom):
                    tops.add(node.module.split(".")[0])
        return tops

    def required(self) -> list[str]:
        (found,) = re.findall(r"install_requires=(\[.*?\])", (ROOT / "setup.py").read_text(), re.DOTALL)
        return ast.literal_eval(found)

    def extras(self) -> dict[str, list[str]]:
        (found,) = re.findall(r"^EXTRAS = (\{.*?^\})", (ROOT / "setup.py").read_text(), re.DOTALL | re.M)
        return ast.literal_eval(found)

    def test_is_an_ament_python_package_of_format_3(self):
        assert (MANIFEST.get("format"), MANIFEST.findtext("export/build_type")) == ("3", "ament_python")
        assert re.fullmatch(r"\d+\.\d+\.\d+", MANIFEST.findtext("version"))
        assert (ROOT / "resource" / MANIFEST.findtext("name")).is_file()

    def test_declares_every_ros_package_that_is_imported(self):
        rosdep_key = {"tf2_ros": "tf2_ros_py"}
        used = {name for package in OURS for name in self.imported(package) if ROS.fullmatch(name)}
        assert {rosdep_key.get(name, name) for name in used} <= self.depends()

    def test_every_other_package_that_is_imported_is_a_requirement_or_an_extra(self):
        from packaging.requirements import Requirement

        distribution = {
            "PIL": "pillow",
            "open_clip": "open_clip_torch",
            "rerun": "rerun_sdk",
            "skimage": "scikit_image",
            "yaml": "pyyaml",
        }
        users = [
            *self.required(),
            *(line for extra, lines in self.extras().items() if extra != "dev" for line in lines),
        ]
        declared = {Requirement(line).name.replace("-", "_").partition(".")[0] for line in users}
        used = {name for package in OURS for name in self.imported(package) if not ROS.fullmatch(name)}
        used -= {*OURS, *sys.stdlib_module_names, "_typeshed", "compression"}  # the last is of Python 3.14
        assert {"numpy", "PIL", "spconv"} <= used
        assert {distribution.get(name, name) for name in used} - declared == set()

    def test_declares_every_required_python_package(self):
        """The base requirements by their rosdep keys; some have none, which the manifest says."""
        keys = {
            "matplotlib": "python3-matplotlib", "numpy": "python3-numpy", "pillow": "python3-pil",
            "pyyaml": "python3-yaml", "rich": "python3-rich", "rosbags": "python3-rosbags-pip",
            "scipy": "python3-scipy", "torch": "python3-torch", "typer": "python3-typer",
        }  # fmt: skip
        names = {requirement.partition(";")[0] for requirement in self.required()}
        without_key = {"apsw", "backports.zstd", "embreex", "lz4", "safetensors", "setuptools"}
        assert {keys[name] for name in names - without_key} <= self.depends()
        text = (ROOT / "package.xml").read_text()
        assert all(name in text for name in without_key - {"setuptools"})

    def test_the_changelog_knows_the_version(self):
        text = (ROOT / "CHANGELOG.rst").read_text()
        assert "Forthcoming\n---" in text or re.search(
            rf"^{MANIFEST.findtext('version')} \(", text, re.MULTILINE
        )


class TestConstraints:
    def test_pin_exact_versions_once_for_each_python(self):
        from packaging.requirements import Requirement

        pins: dict[tuple[str, str], str] = {}
        for line in PINS:
            requirement = Requirement(line)
            assert re.fullmatch(r"==[^*,]+", str(requirement.specifier)), line
            for python in ("3.10", "3.11", "3.12", "3.13"):
                if requirement.marker is None or requirement.marker.evaluate({"python_version": python}):
                    assert pins.setdefault((requirement.name, python), line) == line
        assert {"torch", "numpy", "ros-jazzy-rclpy", "spconv"} <= {
            name for name, python in pins if python == "3.10"
        }

    def test_hold_the_tested_pair_of_torch(self):
        assert {"torch==2.14.1", "torchvision==0.29.1"} <= set(PINS)

"""Build the message packages beside this file against the ROS 2 wheels of this environment; install them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

import numpy

MESSAGES = Path(__file__).resolve().parent / "messages"
PREFIX = Path(sys.prefix)

_BUILD_HOST_NUMPY = re.compile(r"/opt/python/[^;\"]*?/numpy/_core/include")
_BUILD_HOST_PYTHON = re.compile(r"/opt/python/[^;\"]*?/include/python3\.\d+")


def relocate_wheels(prefix: Path) -> None:
    """Point the wheels' CMake files at this interpreter's headers; they name those of their build machine."""
    for path in sorted((prefix / "share").glob("*/cmake/*.cmake")):
        text = path.read_text(encoding="utf-8")
        relocated = _BUILD_HOST_NUMPY.sub(numpy.get_include(), text)
        relocated = _BUILD_HOST_PYTHON.sub(sysconfig.get_path("include"), relocated)
        if relocated != text:
            temporary = path.with_suffix(".part")
            temporary.write_text(relocated, encoding="utf-8")
            temporary.replace(path)


def build(source: Path, prefix: Path) -> None:
    """Configure, compile and install one message package with CMake."""
    path = os.pathsep.join([str(prefix / "bin"), os.environ.get("PATH", os.defpath)])
    cmake = shutil.which("cmake", path=path)
    if cmake is None:
        raise SystemExit("ros_wheels: cmake not found: pip install cmake")
    environment = os.environ | {
        "AMENT_PREFIX_PATH": str(prefix),
        "CMAKE_PREFIX_PATH": str(prefix),
        "PATH": path,
    }
    site_packages = Path(sysconfig.get_path("purelib")).relative_to(prefix)
    generator = ["-G", "Ninja"] if shutil.which("ninja", path=path) else []
    with tempfile.TemporaryDirectory(prefix=f"{source.name}-") as folder:
        configure = [
            *(cmake, "-S", str(source), "-B", folder, *generator),
            "-DBUILD_TESTING=OFF",
            "-DCMAKE_BUILD_TYPE=Release",
            f"-DCMAKE_INSTALL_PREFIX={prefix}",
            "-DCMAKE_INSTALL_LIBDIR=lib",
            f"-DPYTHON_INSTALL_DIR={site_packages}",
            f"-DPython3_EXECUTABLE={sys.executable}",
            "-DPython3_FIND_VIRTUALENV=ONLY",
        ]
        jobs = str(os.cpu_count() or 1)
        for command in (
            configure,
            [cmake, "--build", folder, "--parallel", jobs],
            [cmake, "--install", folder],
        ):
            done = subprocess.run(command, env=environment, capture_output=True, text=True)
            if done.returncode:
                raise SystemExit(
                    f"{done.stdout}{done.stderr}\nros_wheels: {source.name} failed: {' '.join(command)}"
                )


def announce(prefix: Path) -> None:
    """Let every Python of the environment find installed packages, as sourcing a ROS set-up file would."""
    line = 'import os, sys; os.environ.setdefault("AMENT_PREFIX_PATH", sys.prefix)\n'
    (Path(sysconfig.get_path("purelib")) / "ros_wheels_ament_prefix.pth").write_text(line, encoding="utf-8")


def main() -> None:
    """Build every package of `messages/`."""
    if sys.prefix == sys.base_prefix:
        raise SystemExit(
            "ros_wheels: run with the Python of the virtual environment that holds the ROS 2 wheels"
        )
    relocate_wheels(PREFIX)
    for source in sorted(path.parent for path in MESSAGES.glob("*/package.xml")):
        build(source, PREFIX)
    announce(PREFIX)


if __name__ == "__main__":
    main()

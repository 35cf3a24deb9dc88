"""scripts/setup.sh with stand-ins for Python, apt-get and sudo: what it asks for, what it leaves behind."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "setup.sh"
VERSION = "python{}.{}".format(*sys.version_info)
PYTHON = f"""
case "$*" in
    *ensurepip*) [ -z "$WITHOUT_VENV" ]; exit ;;
    "-m venv "*) mkdir -p "$3/bin"; cp "$STAND_INS/inner" "$3/bin/python"; echo "venv" >> "$LOG"; exit ;;
esac
unset _ROS_WHEELS_BOOTSTRAP_COMPLETE
exec {sys.executable} -S "$@"
"""
ENVIRONMENT = """
case "$*" in
    *--version*) ;;
    *"$FAIL_AT"*) exit 1 ;;
    *) echo "${*#-m pip install --quiet }" >> "$LOG" ;;
esac
"""
LOGGING = 'echo "${0##*/} $*" >> "$LOG"\n'


class Machine:
    """A computer with nothing but the commands it is given."""

    def __init__(self, folder: Path) -> None:
        self.bin, self.venv, self.log = folder / "bin", folder / "a venv", folder / "log"
        self.bin.mkdir()
        for tool in ("dirname", "env", "rm", "cp", "mkdir", "touch"):
            (self.bin / tool).symlink_to(
                next(p for p in (Path("/usr/bin") / tool, Path("/bin") / tool) if p.exists())
            )
        self.give("inner", ENVIRONMENT)

    def give(self, name: str, body: str = "exit 0\n") -> None:
        (self.bin / name).write_text(f"#!/bin/sh\n{body}")
        (self.bin / name).chmod(0o755)

    def run(self, **environment: str) -> subprocess.CompletedProcess:
        stand_ins = {"PATH": self.bin, "STAND_INS": self.bin, "VENV": self.venv, "LOG": self.log}
        defaults = {"HOME": os.environ.get("HOME", "/"), "WITHOUT_VENV": "", "FAIL_AT": "nothing"}
        return subprocess.run(
            ["/bin/sh", SCRIPT], env=defaults | {k: str(v) for k, v in stand_ins.items()} | environment,
            capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL,
        )  # fmt: skip

    def done(self) -> list[str]:
        return self.log.read_text().splitlines() if self.log.exists() else []


@pytest.fixture
def machine(tmp_path) -> Machine:
    """With Python and a compiler, for somebody who is not root."""
    made = Machine(tmp_path)
    made.give("python3", PYTHON)
    made.give("c++")
    made.give("id", "echo 1000\n")
    return made


def refusal(result: subprocess.CompletedProcess) -> str:
    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    return line


class TestMissing:
    def test_no_python(self, machine):
        (machine.bin / "python3").unlink()
        assert "no Python 3.10 to 3.13" in refusal(machine.run())

    def test_another_python_where_python3_is_not_supported(self, machine):
        machine.give("python3", "exit 1\n")
        machine.give("python3.12", PYTHON)
        assert machine.run().returncode == 0

    def test_a_chosen_python_that_is_not_supported(self, machine):
        machine.give("old", "exit 1\n")
        assert "PYTHON=old: expected" in refusal(machine.run(PYTHON="old"))

    def test_names_the_command_where_it_may_not_install(self, machine):
        (machine.bin / "c++").unlink()
        machine.give("apt-get", LOGGING)
        expected = f"run: sudo apt-get install --no-install-recommends {VERSION}-venv g++"
        assert expected in refusal(machine.run(WITHOUT_VENV="yes"))
        assert machine.done() == []

    def test_names_the_packages_where_there_is_no_apt(self, machine):
        (machine.bin / "c++").unlink()
        assert "missing: g++; install" in refusal(machine.run())

    @pytest.mark.parametrize("root", [True, False])
    def test_installs_as_root_or_with_sudo(self, machine, root):
        machine.give("apt-get", LOGGING)
        if root:
            machine.give("id", "echo 0\n")
        else:
            machine.give("sudo", 'echo sudo >> "$LOG"; shift; "$@"\n')
        assert machine.run(WITHOUT_VENV="yes").returncode == 0
        calls = [call for call in machine.done() if call.startswith("apt-get")]
        assert calls == ["apt-get update -q", f"apt-get install -qy --no-install-recommends {VERSION}-venv"]
        assert ("sudo" in machine.done()) is not root


class TestEnvironment:
    def test_is_complete_only_at_the_end(self, machine):
        result = machine.run()
        assert result.returncode == 0, result.stderr
        assert machine.done()[0] == "venv"
        assert machine.done()[-1] == "ros_wheels/build_messages.py"
        assert any(re.search(r"--editable \.\[ros,dev\]", call) for call in machine.done())
        assert sorted(path.name for path in machine.venv.iterdir()) == [".ready", "bin"]

    @pytest.mark.parametrize("step", ["requirements.txt", "build_messages"])
    def test_a_failure_leaves_no_stamp_and_the_next_run_starts_over(self, machine, step):
        assert machine.run(FAIL_AT=step).returncode != 0
        assert not (machine.venv / ".ready").exists()
        (machine.venv / "half a package").touch()
        assert machine.run().returncode == 0
        assert (machine.venv / ".ready").exists() and not (machine.venv / "half a package").exists()

    def test_a_second_run_keeps_the_environment(self, machine):
        machine.run()
        (machine.venv / "something of the user").touch()
        assert machine.run().returncode == 0
        assert machine.done().count("venv") == 1
        assert (machine.venv / "something of the user").exists()

    def test_torch_from_another_index(self, machine):
        machine.run(TORCH_INDEX_URL="https://example.org/cpu")
        assert machine.done()[1] == "--index-url https://example.org/cpu torch torchvision"

#!/bin/sh
# Make the virtual environment $VENV (default .venv) with the pinned packages, ROS 2 included, and this package in it.
# Safe to run again at any time, also after an interruption. Environment: VENV, PYTHON (interpreter),
# TORCH_INDEX_URL (where torch comes from, for instance https://download.pytorch.org/whl/cpu for no CUDA).
set -eu

cd "$(dirname "$0")/.."
VENV=${VENV:-.venv}
STAMP=$VENV/.ready            # written last: the environment is complete
INTERRUPTED=$VENV/.incomplete # removed last: pip may have left half a package, which it takes for a whole one
if [ -n "${_ROS_WHEELS_BOOTSTRAP_COMPLETE:-}" ]; then # called from the Python of another environment of this kind
    unset _ROS_WHEELS_BOOTSTRAP_COMPLETE AMENT_PREFIX_PATH LD_LIBRARY_PATH
fi
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_CONSTRAINT="$PWD/constraints.txt"

fail() {
    echo "setup: $1" >&2
    exit 1
}

supported() {
    "$1" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null
}

find_python() {
    if [ -n "${PYTHON:-}" ]; then
        supported "$PYTHON" || fail "PYTHON=$PYTHON: expected an interpreter of Python 3.10 to 3.13"
        echo "$PYTHON"
        return
    fi
    for candidate in python3 python3.13 python3.12 python3.11 python3.10; do
        if supported "$candidate"; then
            echo "$candidate"
            return
        fi
    done
    fail "no Python 3.10 to 3.13 found: apt-get install python3, or set PYTHON=/path/to/python"
}

# The Debian packages that are missing for virtual environments and for compiling the ROS messages.
missing_packages() {
    version=$("$1" -c 'import sys; print("python%d.%d" % sys.version_info[:2])')
    "$1" -c 'import ensurepip, venv' 2>/dev/null || printf ' %s-venv' "$version"
    "$1" - <<'END' || printf ' %s-dev' "$version"
import pathlib, sys, sysconfig
sys.exit(not pathlib.Path(sysconfig.get_path("include"), "Python.h").is_file())
END
    command -v c++ >/dev/null || printf ' g++'
}

install_packages() {
    command -v apt-get >/dev/null || fail "missing:$1; install what your system calls these Debian packages"
    if [ "$(id -u)" = 0 ]; then
        root=""
    elif sudo -n true 2>/dev/null; then
        root="sudo -n"
    else
        fail "missing:$1; run: sudo apt-get install --no-install-recommends$1"
    fi
    echo "setup: installing$1"
    $root apt-get update -q
    # shellcheck disable=SC2086  # a list of packages
    $root env DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends $1
}

python=$(find_python)
packages=$(missing_packages "$python")
[ -z "$packages" ] || install_packages "$packages"

rm -f "$STAMP"
if [ -e "$INTERRUPTED" ] || ! "$VENV/bin/python" -m pip --version >/dev/null 2>&1; then
    rm -rf "$VENV"
    "$python" -m venv "$VENV"
fi
touch "$INTERRUPTED"
install() {
    "$VENV/bin/python" -m pip install --quiet "$@"
}
if [ -n "${TORCH_INDEX_URL:-}" ]; then
    install --index-url "$TORCH_INDEX_URL" torch torchvision
fi
echo "setup: installing the pinned packages into $VENV (the first time takes minutes)"
install setuptools
install --no-build-isolation -r ros_wheels/requirements.txt --editable '.[ros,dev]' --editable ros_wheels
install --no-deps nuscenes-devkit
echo "setup: building the ROS messages"
"$VENV/bin/python" ros_wheels/build_messages.py
rm "$INTERRUPTED"
touch "$STAMP"

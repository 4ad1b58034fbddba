# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""The package as users get it: each way of installing gives imports, executables and data files.

Every install goes into a folder of its own under ``tmp_path``, from a copy of the checkout, and is tried in a
fresh process whose working directory is elsewhere; nothing is downloaded.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import site
import subprocess
import sys
import venv
from glob import glob
from importlib.util import find_spec
from pathlib import Path

import pytest

import night_seg_ros
from night_seg_ros.training.engine.recipe_command import read_chain

CHECKOUT = Path(__file__).resolve().parents[1]
# What a fresh clone would have, less what an install does not read.
PARTS = ["night_seg_ros", "models", "training", "launch", "config", "resource"]
PARTS += ["setup.py", "setup.cfg", "pyproject.toml", "package.xml", "README.md", "LICENSE"]
EXECUTABLES = ["night-seg", "play_node", "segment_node"]

# Run by the Python of an install: says where each part was imported from and which weights are there, and
# loads every executable's entry point, except where that needs a ROS that this machine lacks.
PROBE = """
import json
from importlib.metadata import distribution
from pathlib import Path
import night_seg_ros, night_seg_ros.models, night_seg_ros.training
weights = Path(night_seg_ros.models.__file__).parent / "weights"
names = []
for entry in distribution("night_seg_ros").entry_points:
    try:
        assert callable(entry.load())
    except ModuleNotFoundError as error:
        assert error.name == "rclpy", error
    names.append(entry.name)
print(json.dumps({
    "version": night_seg_ros.__version__,
    "root": night_seg_ros.__file__,
    "models": night_seg_ros.models.__file__,
    "training": night_seg_ros.training.__file__,
    "weights": sorted(path.name for path in weights.iterdir()),
    "executables": sorted(names),
}))
"""


def run(command: list[str], cwd: Path, **variables: str) -> str:
    """Run a command; returns what it printed. The test fails with all of it when the command fails."""
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "AMENT_PREFIX_PATH")}
    result = subprocess.run(
        command, cwd=cwd, env={**environment, **variables}, capture_output=True, text=True
    )
    assert result.returncode == 0, f"{' '.join(command)}\n{result.stdout}\n{result.stderr}"
    return result.stdout


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A copy of the checkout: building leaves traces in the tree it builds from."""
    copy = tmp_path / "source" / "night_seg_ros"
    copy.mkdir(parents=True)
    for part in PARTS:
        original = CHECKOUT / part
        if original.is_dir():
            ignore = shutil.ignore_patterns("__pycache__")
            shutil.copytree(original, copy / part, symlinks=True, ignore=ignore)
        else:
            shutil.copy(original, copy / part)
    return copy


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """An empty working directory, from where nothing of the checkout can be imported by chance."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    return folder


def modules(root: Path) -> set[str]:
    """The Python files of an install or of the checkout, by import path."""
    return {str(path.relative_to(root)) for path in map(Path, glob(f"{root}/**/*.py", recursive=True))}


def check_imports(answer: str, place: Path, source: Path, *, copied: bool) -> None:
    """The answer of PROBE is complete and from ``place`` (from ``source`` where the install links to it)."""
    found = json.loads(answer.splitlines()[-1])
    folders = [Path(found[name]).resolve().parent for name in ("root", "models", "training")]
    for folder in folders:
        assert folder.is_relative_to((place if copied else source).resolve())
    assert modules(folders[0]) == modules(CHECKOUT / "night_seg_ros")
    weights = {path.name for path in (CHECKOUT / "models" / "weights").iterdir()}
    assert set(found["weights"]) == weights
    assert found["executables"] == EXECUTABLES
    assert found["version"] == night_seg_ros.__version__


def check_data_files(prefix: Path) -> None:
    """ROS finds the package, its launch files and its settings under ``prefix``."""
    assert (prefix / "share/ament_index/resource_index/packages/night_seg_ros").is_file()
    share = prefix / "share" / "night_seg_ros"
    names = ["package.xml"]
    for folder in ("launch", "config"):
        files = [path for path in (CHECKOUT / folder).rglob("*.*") if path.suffix != ".pyc"]
        names += [str(path.relative_to(CHECKOUT)) for path in files]
    for name in names:
        assert (share / name).read_bytes() == (CHECKOUT / name).read_bytes()
    for recipe in (share / "config" / "training").glob("*.yaml"):
        assert len(read_chain(recipe)) > 1  # its bases are installed, too


@pytest.fixture
def python(tmp_path: Path) -> Path:
    """The Python of a new virtual environment that borrows the packages of this one, except night_seg_ros."""
    home = tmp_path / "venv"
    venv.create(home, with_pip=False, symlinks=True)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    paths = [path for path in [*site.getsitepackages(), site.getusersitepackages()] if Path(path).is_dir()]
    # They come after the new environment's own packages, and .pth files inside them are not followed: an
    # editable install of this checkout stays out of sight.
    (home / "lib" / version / "site-packages" / "borrowed.pth").write_text("\n".join(paths) + "\n")
    return home / "bin" / "python"


@pytest.mark.parametrize("editable", [False, True], ids=["copied", "editable"])
def test_pip_install(source: Path, python: Path, elsewhere: Path, editable: bool) -> None:
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--ignore-installed"]
    what = ["--editable", str(source)] if editable else [str(source)]
    run([str(python), "-m", "pip", "install", *options, *what], elsewhere)
    prefix = python.parents[1]
    check_imports(run([str(python), "-c", PROBE], elsewhere), prefix, source, copied=not editable)
    for name in EXECUTABLES:
        assert os.access(python.parent / name, os.X_OK)
    assert "usage: night-seg" in run([str(python.parent / "night-seg"), "--help"], elsewhere)
    if not editable:  # pip installs no data files for an editable package
        check_data_files(prefix)


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash to source the colcon workspace with")
@pytest.mark.parametrize("symlinks", [False, True], ids=["copied", "symlinks"])
def test_colcon_build(source: Path, tmp_path: Path, elsewhere: Path, symlinks: bool) -> None:
    for package in ("colcon_core", "colcon_ros", "colcon_bash"):
        if find_spec(package) is None:
            pytest.skip(f"{package} is not installed (pip install colcon-common-extensions colcon-ros)")
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    options = ["--symlink-install"] if symlinks else []
    output = run(
        [sys.executable, "-m", "colcon", "build", "--base-paths", str(source), *options],
        workspace,
        COLCON_HOME=str(tmp_path / "colcon"),
    )
    assert "1 package finished" in output, output
    prefix = workspace / "install" / "night_seg_ros"
    sourced = ["bash", "-c", f"source '{workspace}/install/setup.bash' && exec \"$@\"", "bash"]
    answer = run([*sourced, sys.executable, "-c", PROBE], elsewhere)
    # With links, setuptools before 80 leads into the source tree; later ones cannot, and colcon copies.
    links = symlinks and not list(prefix.glob("lib/python*/site-packages/night_seg_ros/__init__.py"))
    check_imports(answer, prefix, source, copied=not links)
    # `ros2 run` and launch files look for executables here, not on the PATH.
    scripts = prefix / "lib" / "night_seg_ros"
    assert sorted(path.name for path in scripts.iterdir()) == EXECUTABLES
    assert "usage: night-seg" in run([*sourced, str(scripts / "night-seg"), "--help"], elsewhere)
    check_data_files(prefix)


def test_manifest() -> None:
    """package.xml says what setup.py says, and colcon takes it for an ament_python package."""
    text = (CHECKOUT / "package.xml").read_text(encoding="utf-8")
    setup = (CHECKOUT / "setup.py").read_text(encoding="utf-8")
    assert f"<version>{night_seg_ros.__version__}</version>" in text
    assert "<build_type>ament_python</build_type>" in text
    (address,) = re.findall(r'<maintainer email="(.+?)">', text)
    assert re.fullmatch(r"[\w.-]+@[\w.-]+\.[a-z]{2,}", address) and f'maintainer_email="{address}"' in setup
    assert "Apache-2.0</license>" in text and 'license="Apache-2.0"' in setup
    assert "Apache License" in (CHECKOUT / "LICENSE").read_text(encoding="utf-8")
    if find_spec("catkin_pkg") is None:
        pytest.skip("catkin_pkg is not installed: package.xml was not validated")
    from catkin_pkg.package import parse_package

    warnings: list[str] = []
    package = parse_package(str(CHECKOUT), warnings=warnings)
    package.validate(warnings=warnings)
    assert package.get_build_type() == "ament_python" and not warnings


FAKE_PROGRAM = """#!/bin/sh
printf '%s\\n' "$0 $*"
printf '%s\\n' "<$1><$2>"
env
"""


@pytest.mark.skipif(shutil.which("make") is None, reason="no make")
def test_make_is_hermetic_and_installs_once(tmp_path: Path) -> None:
    """With the environment in place `make demo` installs nothing, passes INPUT on and hides a sourced ROS."""
    checkout = tmp_path / "a checkout"
    (checkout / ".venv" / "bin").mkdir(parents=True)
    for name in ("Makefile", "setup.py", "setup.cfg", "pyproject.toml"):
        shutil.copy2(CHECKOUT / name, checkout)
    program = checkout / ".venv" / "bin" / "night-seg"
    program.write_text(FAKE_PROGRAM)
    program.chmod(0o755)
    (checkout / ".venv" / ".installed").touch()
    command = ["make", "--no-print-directory", "demo", "INPUT=night drive.mp4", "PYTHON=no-such-python"]
    result = subprocess.run(
        command,
        cwd=checkout,
        capture_output=True,
        text=True,
        env={
            **os.environ,
            "ROS_DISTRO": "jazzy",
            "ROS_DOMAIN_ID": "7",
            "RMW_IMPLEMENTATION": "rmw_cyclonedds_cpp",
            "AMENT_PREFIX_PATH": "/ws/install/a:/opt/ros/jazzy",
            "PYTHONPATH": "/opt/ros/jazzy/lib/python3.12/site-packages",
            "LD_LIBRARY_PATH": "/opt/ros/jazzy/opt/ogre/lib:/usr/local/nvidia/lib64:/ws/install/a/lib",
        },
    )
    assert result.returncode == 0, result.stderr
    assert "<demo><night drive.mp4>" in result.stdout
    seen = dict(line.split("=", 1) for line in result.stdout.splitlines() if "=" in line)
    hidden = {"ROS_DISTRO", "ROS_DOMAIN_ID", "RMW_IMPLEMENTATION", "AMENT_PREFIX_PATH", "PYTHONPATH"}
    assert not hidden & set(seen)
    assert seen["LD_LIBRARY_PATH"] == "/usr/local/nvidia/lib64"
    assert seen["ROS_AUTOMATIC_DISCOVERY_RANGE"] == "LOCALHOST"
    assert seen["PATH"].startswith(f"{checkout}/.venv/bin:")


@pytest.mark.skipif(shutil.which("make") is None, reason="no make")
def test_make_refuses_an_unfit_python(tmp_path: Path) -> None:
    for name in ("Makefile", "setup.py", "setup.cfg", "pyproject.toml"):
        shutil.copy2(CHECKOUT / name, tmp_path)
    old = tmp_path / "old-python"
    old.write_text('#!/bin/sh\n[ "$1" = --version ] && echo Python 3.8.10\nexit 1\n')
    old.chmod(0o755)
    result = subprocess.run(
        ["make", "test", f"PYTHON={old}"], cwd=tmp_path, capture_output=True, text=True, env=dict(os.environ)
    )
    assert result.returncode != 0
    assert "needs Python 3.10 to 3.14" in result.stderr and "Python 3.8.10" in result.stderr
    assert not (tmp_path / ".venv").exists()

"""Who may import whom: training and the runtime know models, models know neither, ROS stays in the nodes."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[1]
ROS = {"rclpy", "sensor_msgs", "std_msgs", "diagnostic_msgs", "lifecycle_msgs", "rcl_interfaces", "cv_bridge"}
# What imports ROS besides the nodes: the way between messages and arrays, its benchmark, and one camera of
# segment_node.
TALK_ROS = {f"night_seg_ros/{name}.py" for name in ("conversion", "bench_messages", "camera")}
# The program, the demo, the comparison, the export and the benchmarks join the parts: of training, the demo
# and the benchmarks take the street generator to draw their frames, the others data sets and metrics.
JOINS = {f"night_seg_ros/{name}.py" for name in ("cli", "demo", "compare", "export", "bench_options")}


def imports(path: Path) -> set[str]:
    """The dotted names of all modules that a file imports anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports do not say which part they reach"
            found.add(node.module or "")
            found |= {f"{node.module}.{name.name}" for name in node.names}
    return found


def files(folder: str) -> list[str]:
    return sorted(str(path.relative_to(CHECKOUT)) for path in (CHECKOUT / folder).rglob("*.py"))


@pytest.mark.parametrize("name", files("models"))
def test_models_know_no_other_part(name: str) -> None:
    ours = {module for module in imports(CHECKOUT / name) if module.startswith("night_seg_ros.")}
    assert all(module.startswith("night_seg_ros.models") for module in ours)


@pytest.mark.parametrize("name", files("training"))
def test_training_knows_models_only(name: str) -> None:
    ours = {module for module in imports(CHECKOUT / name) if module.startswith("night_seg_ros.")}
    assert all(module.startswith(("night_seg_ros.models", "night_seg_ros.training")) for module in ours)


@pytest.mark.parametrize("name", [name for name in files("night_seg_ros") if name not in JOINS])
def test_the_vehicle_needs_no_training(name: str) -> None:
    assert not any(module.startswith("night_seg_ros.training") for module in imports(CHECKOUT / name))


@pytest.mark.parametrize("name", files("models") + files("training") + files("night_seg_ros"))
def test_only_nodes_and_what_they_are_made_of_import_ros(name: str) -> None:
    if name.endswith("_node.py") or name in TALK_ROS:
        return
    assert not {module.split(".")[0] for module in imports(CHECKOUT / name)} & ROS

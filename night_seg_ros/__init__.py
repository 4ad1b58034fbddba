"""Reads the road at night: semantic segmentation of camera images for ROS 2 vehicles.

``night_seg_ros.Segmenter`` runs a model on frames; ``night_seg_ros.models`` holds the networks
and ``night_seg_ros.training`` the offline training.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from night_seg_ros.segmenter import Segmentation, Segmenter

__all__ = ["Segmentation", "Segmenter"]
__version__ = "0.1.0"

# In a source tree (editable installs, colcon --symlink-install) ``models`` and ``training`` lie
# beside this folder rather than in it; setup.py maps them to sub-packages of this package.
_beside = Path(__file__).resolve().parents[1]
if (_beside / "models" / "egnet.py").is_file() and (_beside / "training").is_dir():
    __path__.append(str(_beside))


def __getattr__(name: str) -> Any:
    """Load the Segmenter, and torch with it, only when it is asked for."""
    if name in __all__:
        from night_seg_ros import segmenter

        return getattr(segmenter, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

"""``night-seg segment``: segments images, folders of images, videos and bags into files.

An image gives ``NAME_labels.png`` (train ids), ``NAME_exposure.png`` (0..255 = 0..1), ``NAME_overlay.png``
and, from networks that relight it, ``NAME_relit.png``; a video or a bag ``NAME_overlay.mp4``.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np

from night_seg_ros.frame_files import Skipped, check_names, parse_options, write_results
from night_seg_ros.image_files import write_image
from night_seg_ros.models import METHODS
from night_seg_ros.models.checkpoint import demonstration_weights
from night_seg_ros.models.exported import TRUST_PT2
from night_seg_ros.segmenter import Segmenter
from night_seg_ros.sources import Frame, Source, open_source


def segment_files(
    sources: list[Source],
    segmenter: Segmenter,
    out: Path,
    *,
    alpha: float = 0.5,
    codec: str = "mp4v",
    on_error: Callable[[str], None],
) -> None:
    """Segment all frames of the sources into files under ``out``.

    Args:
        alpha: weight of the class colours in the overlays, 0..1.
        codec: of the videos, see ``image_files.CODECS``.
        on_error: gets a message for each frame or source that cannot be read; the others are done.

    Raises:
        ValueError: two inputs would give results of one name, or results would land among the inputs.
    """

    def write(frame: Frame) -> None:
        _segment_image(frame, segmenter, out, alpha)

    def draw(frame: Frame) -> np.ndarray:
        drawn = segmenter(frame.image, ("overlay",), alpha=alpha).overlay
        assert drawn is not None
        return drawn

    check_names(sources, out, "overlay")
    write_results(sources, out, "overlay", write=write, draw=draw, codec=codec, on_error=on_error)


def _segment_image(frame: Frame, segmenter: Segmenter, out: Path, alpha: float) -> None:
    result = segmenter(frame.image, ("labels", "exposure", "relit", "overlay"), alpha=alpha)
    assert result.labels is not None and result.exposure is not None and result.overlay is not None
    write_image(out / f"{frame.name}_labels.png", result.labels)
    write_image(out / f"{frame.name}_exposure.png", result.exposure)
    if result.relit is not None:
        write_image(out / f"{frame.name}_relit.png", result.relit)
    write_image(out / f"{frame.name}_overlay.png", result.overlay)


def main(argv: list[str] | None = None) -> int:
    """Entry of ``night-seg segment``; exit status 1 if something could not be read."""
    parser = argparse.ArgumentParser("night-seg segment", description=__doc__.split(": ", 1)[1])
    parser.add_argument("paths", nargs="+", metavar="PATH", help="image, folder of images, video or rosbag2")
    networks = parser.add_mutually_exclusive_group()
    networks.add_argument(
        "--model", default="egnet", choices=list(METHODS), help="whose demonstration weights"
    )
    networks.add_argument(
        "--weights",
        type=Path,
        help="checkpoint or exported program (.onnx, .pt2) to use instead of demonstration weights",
    )
    parser.add_argument("--trust-pt2", action="store_true", help=TRUST_PT2)
    options = parse_options(parser, argv)

    sources = [open_source(path, topic=options.topic) for path in options.paths]
    segmenter = Segmenter(
        options.weights or demonstration_weights(options.model),
        device=options.device,
        precision=options.precision,
        trust_pt2=options.trust_pt2,
    )
    skipped = Skipped()
    segment_files(sources, segmenter, options.out, alpha=options.alpha, codec=options.codec, on_error=skipped)
    return skipped.finish(options.out)


if __name__ == "__main__":
    raise SystemExit(main())

"""Segments images, videos and bags into files, for ``night-seg segment``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from tqdm import tqdm

from night_seg_ros.inference.options import chosen_weights
from night_seg_ros.inference.segmenter import Segmentation, Segmenter
from night_seg_ros.media.frame_files import Skipped, check_names, write_results
from night_seg_ros.media.sources import Source, SourceError, SourceFrame, open_source
from night_seg_ros.media.writers import write_image


def run(options: argparse.Namespace) -> int:
    """Do what the options of ``night-seg segment`` say; the exit status."""
    sources = [open_source(path, topic=options.topic) for path in options.paths]
    segmenter = Segmenter(
        chosen_weights(options),
        device=options.device,
        precision=options.precision,
        trust_pt2=options.trust_pt2,
    )
    skipped = Skipped()
    segment_files(sources, segmenter, options.out, alpha=options.alpha, codec=options.codec, on_error=skipped)
    return skipped.finish(options.out)


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

    Prints one warning if frames lose their shape on the way to the network.

    Args:
        alpha: weight of the class colours in the overlays, 0..1.
        codec: of the videos, see ``media.options.CODECS``.
        on_error: gets a message for each frame or source that cannot be read; the others are done.

    Raises:
        ValueError: two inputs would give results of one name, or results would land among the inputs.
        SourceError: nothing at all could be read.
    """

    warned = False

    def segment(frame: SourceFrame, outputs: tuple[str, ...]) -> Segmentation:
        nonlocal warned
        height, width = frame.image.shape[:2]
        if not warned and (warning := segmenter.distortion((height, width))):
            tqdm.write(f"warning: {warning}", file=sys.stderr)
            warned = True
        return segmenter(frame.image, outputs, alpha=alpha)

    def write(frame: SourceFrame) -> None:
        _write_images(out, frame.name, segment(frame, ("labels", "exposure", "relit", "overlay")))

    def draw(frame: SourceFrame) -> np.ndarray:
        drawn = segment(frame, ("overlay",)).overlay
        assert drawn is not None
        return drawn

    check_names(sources, out, "overlay")
    if not write_results(sources, out, "overlay", write=write, draw=draw, codec=codec, on_error=on_error):
        raise SourceError("no frame could be read: there is nothing to segment")


def _write_images(out: Path, name: str, result: Segmentation) -> None:
    assert result.labels is not None and result.exposure is not None and result.overlay is not None
    write_image(out / f"{name}_labels.png", result.labels)
    write_image(out / f"{name}_exposure.png", result.exposure)
    if result.relit is not None:
        write_image(out / f"{name}_relit.png", result.relit)
    write_image(out / f"{name}_overlay.png", result.overlay)

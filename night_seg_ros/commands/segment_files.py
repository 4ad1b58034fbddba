# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""Segments images, videos and bags into files, for ``night-seg segment``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from tqdm import tqdm

from night_seg_ros.commands.attention import AttentionCorrelation, attention_picture, check_attention
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
    correlation = AttentionCorrelation() if options.attention else None
    segment_files(
        sources,
        segmenter,
        options.out,
        alpha=options.alpha,
        codec=options.codec,
        correlation=correlation,
        on_error=skipped,
    )
    if correlation is not None:
        print("\n".join(correlation.lines()))
    return skipped.finish(options.out)


def segment_files(
    sources: list[Source],
    segmenter: Segmenter,
    out: Path,
    *,
    alpha: float = 0.5,
    codec: str = "mp4v",
    correlation: AttentionCorrelation | None = None,
    on_error: Callable[[str], None],
) -> None:
    """Segment all frames of the sources into files under ``out``.

    Prints one warning if frames lose their shape on the way to the network.

    Args:
        alpha: weight of the class colours in the overlays, 0..1.
        codec: of the videos, see ``media.options.CODECS``.
        correlation: also draw the attention maps, and count them here.
        on_error: gets a message for each frame or source that cannot be read; the others are done.

    Raises:
        ValueError: two inputs would give results of one name, results would land among the inputs, or the
            network has no attention maps.
        SourceError: nothing at all could be read.
    """

    results = ["overlay"] if correlation is None else ["overlay", "attention"]
    warned = False

    def segment(frame: SourceFrame, outputs: tuple[str, ...]) -> Segmentation:
        nonlocal warned
        height, width = frame.image.shape[:2]
        if not warned and (warning := segmenter.distortion((height, width))):
            tqdm.write(f"warning: {warning}", file=sys.stderr)
            warned = True
        return segmenter(frame.image, outputs, alpha=alpha)

    def write(frame: SourceFrame) -> None:
        result = segment(frame, ("labels", "exposure", "relit", *results))
        _write_images(out, frame.name, result)
        for name, picture in zip(results, pictures(frame, result), strict=True):
            write_image(out / f"{frame.name}_{name}.png", picture)

    def draw(frame: SourceFrame) -> list[np.ndarray]:
        return pictures(frame, segment(frame, tuple(results)))

    def pictures(frame: SourceFrame, result: Segmentation) -> list[np.ndarray]:
        assert result.overlay is not None
        if correlation is None:
            return [result.overlay]
        assert result.attention is not None
        correlation.add(frame.image, result.attention)
        return [result.overlay, attention_picture(frame.image, result.attention)]

    if correlation is not None:
        check_attention(segmenter)
    check_names(sources, out, "overlay")
    if not write_results(sources, out, results, write=write, draw=draw, codec=codec, on_error=on_error):
        raise SourceError("no frame could be read: there is nothing to segment")


def _write_images(out: Path, name: str, result: Segmentation) -> None:
    assert result.labels is not None and result.exposure is not None
    write_image(out / f"{name}_labels.png", result.labels)
    write_image(out / f"{name}_exposure.png", result.exposure)
    if result.relit is not None:
        write_image(out / f"{name}_relit.png", result.relit)

"""``night-seg segment``: segments images, folders of images, videos and bags into files.

An image gives ``NAME_labels.png`` (train ids), ``NAME_exposure.png`` (0..255 = 0..1), ``NAME_overlay.png``
and, from networks that relight it, ``NAME_relit.png``; a video or a bag ``NAME_overlay.mp4``.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from tqdm import tqdm

from night_seg_ros.image_files import CODECS, VideoFile, write_image
from night_seg_ros.models import METHODS
from night_seg_ros.models.checkpoint import demonstration_weights
from night_seg_ros.models.exported import TRUST_PT2
from night_seg_ros.segmenter import PRECISIONS, Segmenter
from night_seg_ros.sources import Frame, Images, Source, SourceError, open_source


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
    _check_names(sources, out)
    with tqdm(total=sum(len(source) for source in sources), desc="segment", unit="frame") as bar:
        for source in sources:
            try:
                if isinstance(source, Images):
                    for frame in source.frames(on_error):
                        _segment_image(frame, segmenter, out, alpha)
                        bar.update()
                    continue
                with VideoFile(out / f"{source.name}_overlay.mp4", source.rate, codec) as video:
                    for frame in source.frames(on_error):
                        result = segmenter(frame.image, ("labels",))
                        video.write(result.overlay(frame.image, alpha))
                        bar.update()
            except SourceError as error:
                on_error(str(error))


def _segment_image(frame: Frame, segmenter: Segmenter, out: Path, alpha: float) -> None:
    result = segmenter(frame.image, ("labels", "exposure", "relit"))
    assert result.labels is not None and result.exposure is not None
    write_image(out / f"{frame.name}_labels.png", result.labels)
    write_image(out / f"{frame.name}_exposure.png", result.exposure)
    if result.relit is not None:
        write_image(out / f"{frame.name}_relit.png", result.relit)
    write_image(out / f"{frame.name}_overlay.png", result.overlay(frame.image, alpha))


def _check_names(sources: list[Source], out: Path) -> None:
    """Refuse what would overwrite one result with another, or be read as an input next time."""
    makers: dict[str, Path] = {}
    for source in sources:
        is_images = isinstance(source, Images)
        if is_images and source.path.is_dir() and source.path.resolve() == out.resolve():
            raise ValueError(f"{out} is an input folder: next time, the results would be read as frames")
        for path in source.paths if isinstance(source, Images) else [source.path]:
            name = f"{path.stem if is_images else source.name}_overlay.{'png' if is_images else 'mp4'}"
            if name in makers:
                raise ValueError(
                    f"{makers[name]} and {path} would both become {out / name}: "
                    "rename one, or segment them into different folders"
                )
            makers[name] = path


def main(argv: list[str] | None = None) -> int:
    """Entry of ``night-seg segment``; exit status 1 if something could not be read."""
    parser = argparse.ArgumentParser("night-seg segment", description=__doc__.split(": ", 1)[1])
    parser.add_argument("paths", nargs="+", metavar="PATH", help="image, folder of images, video or rosbag2")
    parser.add_argument("--out", type=Path, required=True, help="folder for the results")
    parser.add_argument("--model", default="egnet", choices=list(METHODS), help="whose demonstration weights")
    parser.add_argument(
        "--weights",
        type=Path,
        help="checkpoint or exported program (.onnx, .pt2) to use instead of demonstration weights",
    )
    parser.add_argument("--trust-pt2", action="store_true", help=TRUST_PT2)
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1 ... (default: auto)")
    parser.add_argument("--precision", default="auto", choices=["auto", *PRECISIONS])
    parser.add_argument("--alpha", type=float, default=0.5, help="weight of the colours, 0..1 (default: 0.5)")
    parser.add_argument(
        "--codec",
        default="mp4v",
        choices=CODECS,
        help="of videos; mp4v is fast, vp09 is slow but plays in browsers (default: mp4v)",
    )
    parser.add_argument("--topic", default="", help="image topic of a bag that has several")
    options = parser.parse_args(argv)
    if not 0 <= options.alpha <= 1:
        parser.error(f"--alpha is {options.alpha}: give 0 to 1")

    problems: list[str] = []

    def skip(problem: str) -> None:
        problems.append(problem)
        tqdm.write(f"skipped {problem}", file=sys.stderr)

    sources = [open_source(path, topic=options.topic) for path in options.paths]
    segmenter = Segmenter(
        options.weights or demonstration_weights(options.model),
        device=options.device,
        precision=options.precision,
        trust_pt2=options.trust_pt2,
    )
    segment_files(sources, segmenter, options.out, alpha=options.alpha, codec=options.codec, on_error=skip)
    print(
        f"{options.out}: done"
        + (f", but {len(problems)} of the inputs could not be read" if problems else "")
    )
    return 1 if problems else 0


if __name__ == "__main__":
    raise SystemExit(main())

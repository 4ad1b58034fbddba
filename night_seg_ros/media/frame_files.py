# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""From images, folders, videos and bags to files: what the commands that do this share."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from tqdm import tqdm

from night_seg_ros.media.sources import Images, Source, SourceError, SourceFrame
from night_seg_ros.media.writers import VideoFile


class Skipped:
    """Told of an input that can't be read, prints the message and counts it."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, problem: str) -> None:
        self.count += 1
        tqdm.write(f"skipped {problem}", file=sys.stderr)

    def finish(self, out: Path) -> int:
        """Print that the results are in ``out``, and what is not; returns the exit status."""
        missing = f", but {self.count} of the inputs could not be read" if self.count else ""
        print(f"{out}: done{missing}")
        return 1 if self.count else 0


def write_results(
    sources: list[Source],
    out: Path,
    results: Sequence[str],
    *,
    write: Callable[[SourceFrame], None],
    draw: Callable[[SourceFrame], Sequence[np.ndarray]],
    codec: str,
    on_error: Callable[[str], None],
) -> int:
    """Go through all frames of the sources; of each video and bag, write ``NAME_RESULT.mp4`` into ``out``.

    Args:
        results: what the files show, as it stands in their names; see ``check_names``.
        write: writes the files of an image.
        draw: gives the pictures of a frame of a video or bag, (H, W, 3) uint8 BGR, one for each result.
        codec: of the videos, see ``options.CODECS``.
        on_error: gets a message for each frame or source that cannot be read; the others are done.

    Returns:
        How many images, videos and bags have results.
    """
    done = 0
    with tqdm(total=sum(len(source) for source in sources), desc=results[0], unit="frame") as bar:
        for source in sources:
            try:
                if isinstance(source, Images):
                    for frame in source.frames(on_error):
                        write(frame)
                        bar.update()
                        done += 1
                    continue
                frames = 0
                with ExitStack() as open_videos:
                    videos = [
                        open_videos.enter_context(
                            VideoFile(out / f"{source.name}_{result}.mp4", source.rate, codec)
                        )
                        for result in results
                    ]
                    for frame in source.frames(on_error):
                        for video, picture in zip(videos, draw(frame), strict=True):
                            video.write(picture)
                        bar.update()
                        frames += 1
                done += frames > 0
            except SourceError as error:
                on_error(str(error))
    return done


def check_names(sources: list[Source], out: Path, result: str) -> None:
    """Refuse what would overwrite one ``NAME_RESULT`` with another, or be read as an input next time.

    Raises:
        ValueError: two inputs would give results of one name, or results would land among the inputs.
    """
    files: list[tuple[str, Path]] = []
    for source in sources:
        if isinstance(source, Images):
            if source.path.is_dir():
                check_out(out, [source.path])
            files += [(f"{path.stem}_{result}.png", path) for path in source.paths]
        else:
            files.append((f"{source.name}_{result}.mp4", source.path))
    check_unique(files, out)


def check_out(out: Path, folders: Iterable[Path]) -> None:
    """Refuse to write into one of the folders that are read.

    Raises:
        ValueError: ``out`` is one of them.
    """
    if out.resolve() in {folder.resolve() for folder in folders}:
        raise ValueError(f"{out} is an input folder: next time, the results would be read as frames")


def check_unique(files: Iterable[tuple[str, Path]], out: Path) -> None:
    """Refuse results of one name.

    Args:
        files: name of each result in ``out``, and the input that it is of.

    Raises:
        ValueError: two are of one name; the message tells their inputs.
    """
    makers: dict[str, Path] = {}
    for name, path in files:
        if name in makers:
            raise ValueError(
                f"{makers[name]} and {path} would both become {out / name}: "
                "rename one, or give them different folders"
            )
        makers[name] = path

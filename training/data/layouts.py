# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""Where the files of a data set lie below its root, and which label belongs to which image."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from night_seg_ros.training.data.label_files import DataError

IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp"}


@dataclass(frozen=True)
class FolderLayout:
    """One way in which a data set may lie on a disk.

    Attributes:
        images: folders below the root, searched with their sub-folders; the first that exists counts.
            ``{split}`` and ``{part}`` are filled in.
        labels: the same for labels, which lie in the same sub-folders as their images.
        image_end: how the names of the images end; "" stands for the suffix of any image file.
        label_ends: what a label has in place of ``image_end``; the one that most images have counts.
    """

    images: tuple[str, ...]
    labels: tuple[str, ...]
    image_end: str
    label_ends: tuple[str, ...]


@dataclass
class FileList:
    """The files of a split.

    Attributes:
        pairs: images, sorted, each with its label, or with None if the split is not labelled.
        missing: images of a labelled split that have no label, each with the label that was expected.
        orphans: labels that belong to no image.
    """

    pairs: list[tuple[Path, Path | None]] = field(default_factory=list)
    missing: list[tuple[Path, Path]] = field(default_factory=list)
    orphans: list[Path] = field(default_factory=list)

    def __add__(self, other: FileList) -> FileList:
        return FileList(self.pairs + other.pairs, self.missing + other.missing, self.orphans + other.orphans)


def match_files(
    images: Path, labels: Sequence[Path] | None, image_end: str, label_ends: tuple[str, ...]
) -> FileList:
    """List the images of a folder and find their labels.

    Args:
        images: folder of images.
        labels: folders of labels, of which the first that exists counts; None if there are no labels.
        image_end, label_ends: see ``FolderLayout``.

    Raises:
        DataError: there is no such folder of images, it has no images, or not one image has a label.
    """
    found = _list_images(images, image_end)
    if labels is None:
        return FileList([(image, None) for image in found])
    folder = next((folder for folder in labels if folder.is_dir()), labels[0])
    there = set(_files(folder)) if folder.is_dir() else set()
    stems = [
        os.path.join(folder, image.parent.relative_to(images), _without_end(image, image_end))
        for image in found
    ]
    end = max(label_ends, key=lambda end: len(there.intersection(_with_end(stems, end))))
    expected = _with_end(stems, end)
    files = FileList()
    for image, label in zip(found, expected, strict=True):
        if label in there:
            files.pairs.append((image, label))
        else:
            files.missing.append((image, label))
    if not files.pairs:
        others = [*(f"*{end}" for end in label_ends[1:]), *(map(str, labels[1:] if not there else ()))]
        also = f", nor is there {', '.join(others)}" if others else ""
        raise DataError(f"image {found[0]} has no label: expected {expected[0]}{also}")
    files.orphans = sorted(label for label in there.difference(expected) if label.name.endswith(end))
    return files


def find_files(
    root: Path, layouts: tuple[FolderLayout, ...], folders: tuple[str, ...], part: str, labelled: bool
) -> FileList:
    """List the files of one part of a split.

    Args:
        root: folder of the data set.
        layouts: tried in this order.
        folders: the names that the split's folders go by, tried in this order.
        part: filled into the layouts.
        labelled: whether the split has labels.

    Raises:
        DataError: the files are not there; says what was expected, and what is there instead.
    """
    found = _find(root, layouts, folders, part)
    if found is None:
        raise DataError(_what_is_there(root, layouts, folders, part))
    layout, folder, images = found
    labels = [root / _fill(pattern, folder, part) for pattern in layout.labels] if labelled else None
    return match_files(images, labels, layout.image_end, layout.label_ends)


def has_images(root: Path, layouts: tuple[FolderLayout, ...], folder: str, part: str) -> bool:
    """Whether there is a folder for the images of one part of a split."""
    return _find(root, layouts, (folder,), part) is not None


def _find(
    root: Path, layouts: tuple[FolderLayout, ...], folders: tuple[str, ...], part: str
) -> tuple[FolderLayout, str, Path] | None:
    for folder in folders:
        for layout in layouts:
            for pattern in layout.images:
                images = root / _fill(pattern, folder, part)
                if images.is_dir():
                    return layout, folder, images
    return None


def _what_is_there(root: Path, layouts: tuple[FolderLayout, ...], folders: tuple[str, ...], part: str) -> str:
    if not root.is_dir():
        return f"no folder {root}"
    tried = [
        _fill(pattern, folder, part) for folder in folders for layout in layouts for pattern in layout.images
    ]
    message = f"no folder {' or '.join(tried)} in {root}"
    for other in (*sorted(path for path in root.iterdir() if path.is_dir()), *list(root.parents)[:3]):
        if _find(other, layouts, folders, part):
            return f"{message}: {other} looks like the folder to give"
    reached = max((_existing(root / folder) for folder in tried), key=lambda path: len(path.parts))
    names = sorted(path.name for path in reached.iterdir() if not path.name.startswith("."))
    listed = ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
    return f"{message}: {reached} holds {listed or 'nothing'}"


def _existing(folder: Path) -> Path:
    while not folder.is_dir():
        folder = folder.parent
    return folder


def _fill(pattern: str, split: str, part: str) -> str:
    return pattern.format(split=split, part=part)


def _files(folder: Path, above: tuple[Path, ...] = ()) -> Iterator[Path]:
    """The files of a folder and its sub-folders, linked ones too; ``above`` are the real folders over it."""
    real = folder.resolve()
    if real in above:  # a link that leads back up: no end
        return
    with os.scandir(folder) as entries:
        for entry in entries:
            # What is hidden is other programs' business: macOS leaves ._NAME.png beside each NAME.png in its
            # archives, Jupyter copies in .ipynb_checkpoints.
            if entry.name.startswith("."):
                continue
            if entry.is_dir():
                yield from _files(Path(entry.path), (*above, real))
            else:
                yield Path(entry.path)


def _list_images(folder: Path, end: str) -> list[Path]:
    if not folder.is_dir():
        raise DataError(f"no folder {folder}: expected one of images")
    found = sorted(path for path in _files(folder) if _is_image(path, end))
    if not found:
        wanted = f"*{end}" if end else ", ".join(sorted(IMAGE_SUFFIXES))
        raise DataError(f"folder {folder} holds no images ({wanted})")
    return found


def _is_image(path: Path, end: str) -> bool:
    return path.name.endswith(end) and path.suffix.lower() in IMAGE_SUFFIXES


def _without_end(image: Path, end: str) -> str:
    return image.name.removesuffix(end or image.suffix)


def _with_end(stems: list[str], end: str) -> list[Path]:
    return [Path(stem + end) for stem in stems]

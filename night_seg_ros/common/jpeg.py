# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""Whether a JPEG is whole: decoders fill up what is missing with grey and say nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator

START, END = b"\xff\xd8", b"\xff\xd9"

# Behind 0xff, 0x00 and 0xd0..0xd7 (restart) belong to a scan, and 0xff only fills.
_MARKER = re.compile(rb"\xff([\x01-\xcf\xd8-\xfe])")
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_SCAN = 0xDA
_WITHOUT_SEGMENT = {0x01, START[1], END[1]}

_NOISE = bytes(1 + (73 * i * i + 91 * i) % 254 for i in range(64))


def has_end(data: bytes) -> bool:
    """Whether the end marker of a JPEG is there; those of previews within it don't count."""
    return any(code == END[1] for code, _ in _segments(data))


def has_all_scans(data: bytes) -> bool:
    """Whether the scans of a JPEG, as far as they have begun, give all bits of all coefficients."""
    missing: set[tuple[int, int]] = set()  # component and coefficient
    for code, segment in _segments(data):
        if code in _FRAMES:
            missing = {(component, k) for component in segment[6::3] for k in range(64)}
        elif code == _SCAN and len(segment) >= 6:
            first, last, bits = segment[-3:]
            if bits & 15 == 0:
                missing -= {(component, k) for component in segment[1:-3:2] for k in range(first, last + 1)}
    return not missing


def continuations(data: bytes) -> tuple[bytes, bytes]:
    """Two ways in which a JPEG without end may go on; they make different pixels where its last scan is cut.

    The scan goes on with bits, and with the opposite bits. A scan may have restart markers, so do these.
    """
    noises = (_NOISE, bytes(255 - byte for byte in _NOISE))
    restarts = [bytes((0xFF, 0xD0 + number)) for number in range(8)] * 2
    first, second = (data + noise + b"".join(restart + noise for restart in restarts) for noise in noises)
    return first + END, second + END


def _segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The marker code and the segment behind it, without its length, of each up to the end of the image."""
    at = len(START)
    while match := _MARKER.search(data, at):
        code, at = match[1][0], match.end()
        length = 0 if code in _WITHOUT_SEGMENT else int.from_bytes(data[at : at + 2], "big")
        if at + length > len(data):
            return
        yield code, data[at + 2 : at + length]
        if code == END[1]:
            return
        at += length

# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""Counts and measures of frames, without ROS."""

from __future__ import annotations

import numpy as np
import pytest

from night_seg_ros.nodes.frame_statistics import FrameStatistics, exposure_shares


def test_exposure_shares_by_hand() -> None:
    frame = np.zeros((10, 10, 3), np.uint8)
    frame[0] = 25, 0, 0  # V = 0.098: under
    frame[1] = 0, 26, 0  # V = 0.102: neither
    frame[2:5] = 0, 0, 229  # V = 0.898: neither
    frame[5:7] = 230, 0, 10  # V = 0.902: over
    under, over = exposure_shares(frame)
    assert under == pytest.approx(0.4)  # rows 0, 7, 8, 9
    assert over == pytest.approx(0.2)


def test_exposure_shares_of_a_view_with_padded_rows() -> None:
    padded = np.full((4, 9, 3), 255, np.uint8)
    padded[:, :6] = 0
    assert exposure_shares(padded[:, :6]) == (1.0, 0.0)


def test_report() -> None:
    statistics = FrameStatistics()
    empty = statistics.report()
    assert empty["frames_in"] == "0"
    assert empty["latency_median_ms"] == empty["convert_median_ms"] == ""
    assert empty["underexposed_share"] == "nan"
    frame = np.full((4, 4, 3), 255, np.uint8)
    for milliseconds in range(1, 101):
        statistics.receive()
        statistics.process(frame)
        seconds = milliseconds / 1000
        stages = {"publish": seconds, "wait": 0.0, "convert": 0.2 * seconds, "segment": 0.8 * seconds}
        statistics.measure(latency=seconds, stages=stages)
    statistics.receive()
    statistics.drop()
    statistics.receive()
    assert statistics.reject("no pixels") == 1
    report = statistics.report()
    assert report["frames_in"] == "102"
    assert report["frames_processed"] == "100"
    assert report["frames_dropped"] == "1"
    assert report["frames_rejected"] == "1"
    assert report["last_reject_reason"] == "no pixels"
    assert float(report["latency_median_ms"]) == pytest.approx(50.5)
    assert float(report["latency_p99_ms"]) == pytest.approx(99.0, abs=0.1)
    assert float(report["processing_median_ms"]) == pytest.approx(101)
    medians = {"wait": 0, "convert": 10.1, "segment": 40.4, "publish": 50.5}
    for stage, median in medians.items():
        assert float(report[f"{stage}_median_ms"]) == pytest.approx(median, abs=0.051)
    assert report["overexposed_share"] == "1.000"
    assert float(report["rate_hz"]) > 0


def test_stamps_of_an_old_recording_are_no_latency() -> None:
    statistics = FrameStatistics()
    stages = {"wait": 0.001, "convert": 0.002, "segment": 0.003, "publish": 0.004}
    statistics.measure(latency=9e7, stages=stages)
    report = statistics.report()
    assert report["latency_median_ms"] == "stamps of another time"
    assert report["processing_median_ms"] == "10.0"

# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""Tables and figures by hand."""

from __future__ import annotations

from night_seg_ros.common.tables import align_columns, markdown_table, percent


def test_percent() -> None:
    assert percent(0.1234) == "12.3 %"
    assert percent(0.99951, 3) == "99.951 %"
    assert percent(1.0, 0) == "100 %"
    assert percent(None) == percent(float("nan"), 2) == "-"


def test_markdown_table() -> None:
    assert markdown_table(["class", "IoU"], [["sky", "12.3 %"], ["car", "-"]]).splitlines() == [
        "| class | IoU |",
        "| ----- | --- |",
        "| sky | 12.3 % |",
        "| car | - |",
    ]
    assert markdown_table(["", ""], []).splitlines()[1] == "| --- | --- |"


def test_columns_are_of_one_width() -> None:
    rows = [["name", "n"], ["a", "1,234"], ["longer", ""]]
    assert align_columns(rows) == [["name  ", "n    "], ["a     ", "1,234"], ["longer", "     "]]
    assert align_columns(rows, numbers=True) == [
        ["name  ", "    n"],
        ["a     ", "1,234"],
        ["longer", "     "],
    ]

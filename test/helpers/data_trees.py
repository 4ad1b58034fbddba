# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""A folder that holds a few tiny images of every data set that the recipes name, in its owners' layout."""

from __future__ import annotations

from pathlib import Path

from helpers.label_files import plant


def plant_data_sets(root: Path) -> None:
    """Write the data sets below ``root``, each by the name that the recipes give its folder."""
    plant(
        root / "nightcity",
        *(
            f"images/{split}/{n}.png=label/{split}/{n}_labelIds.png"
            for split in ("train", "val")
            for n in "ab"
        ),
    )
    for name in ("cityscapes", "cityscapes_mini"):
        end = "ulm/ulm_000001_000019"
        plant(
            root / name,
            *(
                f"leftImg8bit/{split}/{end}_leftImg8bit.png=gtFine/{split}/{end}_gtFine_labelIds.png"
                for split in ("train", "val")
            ),
        )
    for split in ("train", "val"):
        files = [f"images/10k/{split}/{n}.jpg=labels/sem_seg/masks/{split}/{n}.png" for n in ("day", "night")]
        plant(root / "bdd100k", *files, content="train ids")
        (root / "bdd100k" / f"night_{split}.txt").write_text("night.jpg\n")
    night, day = "train/night/GOPR0351/GOPR0351_frame_000001", "train/day/GOPR0345/GOPR0345_frame_000081"
    scored = "val/night/GOPR0356/GOPR0356_frame_000321"
    plant(
        root / "dark_zurich",
        f"rgb_anon/{night}_rgb_anon.png",
        f"rgb_anon/{day}_rgb_anon.png",
        f"rgb_anon/{scored}_rgb_anon.png=gt/{scored}_gt_labelTrainIds.png",
        content="train ids",
    )
    (root / "dark_zurich" / "pairs.csv").write_text(f"{night},{day}\n")
    plant(
        root / "nighttime_driving",
        "leftImg8bit/test/night/1_leftImg8bit.png="
        "gtCoarse_daytime_trainvaltest/test/night/1_gtCoarse_labelTrainIds.png",
        content="train ids",
    )
    folders = {
        "camvid": (
            ("day_train", "day_val", "dusk"),
            "dusk_day_pairs.csv",
            "images/dusk/a.png,images/day_train/a.png",
        ),
        "cityscapes_768": (("train", "holdout"), "", ""),
        "bdd_unlabelled": (("day",), "", ""),
        "bdd_day": (("train",), "", ""),
        "kitti": (("train",), "", ""),
        "streets": (("day",), "pairs.csv", ""),
        "street_pairs": (("night", "day"), "pairs.csv", "images/night/a.png,images/day/a.png"),
    }
    for name, (splits, pairs, line) in folders.items():
        files = [f"images/{split}/a.png=labels/{split}/a.png" for split in splits]
        plant(root / name, *files, content="train ids")
        if pairs:
            (root / name / pairs).write_text(f"{line}\n")

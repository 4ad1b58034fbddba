"""DANNet's losses against slow, obvious formulas and the figures of the released ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.reference_weights import reference_image

from night_seg_ros.models.classes import IGNORE
from night_seg_ros.training.losses.adaptation import (
    exposure_loss,
    least_squares,
    light_loss,
    neighbourhood_probability,
    pseudo_label,
    ssim_loss,
    static_loss,
    total_variation_loss,
)

GOLDEN = np.load(Path(__file__).parents[2] / "helpers" / "reference" / "golden.npz")


@pytest.fixture
def x() -> torch.Tensor:
    return torch.from_numpy(reference_image(96, 160))


@pytest.fixture
def y() -> torch.Tensor:
    return torch.from_numpy(reference_image(96, 160, "y"))


def probabilities(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).softmax(dim=1)


def test_released_figures(x: torch.Tensor, y: torch.Tensor) -> None:
    for ours, name in (
        (total_variation_loss(x, "release"), "loss_tv"),
        (exposure_loss(x, y.mean(), "release"), "loss_exposure"),
        (ssim_loss(x, y), "loss_ssim"),
    ):
        assert ours.item() == pytest.approx(float(GOLDEN[name]), rel=1e-4)


def test_total_variation_by_loops() -> None:
    difference = torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(0))
    vertical = horizontal = 0.0
    for n in range(2):
        for c in range(3):
            for i in range(4):
                for j in range(5):
                    if i:
                        vertical += (difference[n, c, i, j] - difference[n, c, i - 1, j]).item() ** 2
                    if j:
                        horizontal += (difference[n, c, i, j] - difference[n, c, i, j - 1]).item() ** 2
    paper = (vertical + horizontal) / (2 * 4 * 5)
    release = 2 * (vertical / (3 * 5) + horizontal / (4 * 4)) / 2
    assert total_variation_loss(difference, "paper").item() == pytest.approx(paper, rel=1e-5)
    assert total_variation_loss(difference, "release").item() == pytest.approx(release, rel=1e-5)


def test_exposure_by_patches() -> None:
    relit = torch.randn(1, 3, 70, 64, generator=torch.Generator().manual_seed(1))  # 2 x 2 whole patches
    means = [relit[0, :, i : i + 32, j : j + 32].mean().item() for i in (0, 32) for j in (0, 32)]
    intensity = torch.tensor(0.1)
    assert exposure_loss(relit, intensity, "paper").item() == pytest.approx(
        np.mean([abs(mean - 0.1) for mean in means]), rel=1e-4
    )
    assert exposure_loss(relit, intensity, "release").item() == pytest.approx(
        np.mean([(mean - 0.1) ** 2 for mean in means]), rel=1e-4
    )


def test_ssim_by_windows() -> None:
    generator = torch.Generator().manual_seed(2)
    x, y = (torch.rand(1, 1, 5, 6, generator=generator) for _ in range(2))
    a, b = (np.pad(each[0, 0].numpy().astype(np.float64), 1, mode="reflect") for each in (x, y))
    losses = []
    for i in range(5):
        for j in range(6):
            p, q = a[i : i + 3, j : j + 3], b[i : i + 3, j : j + 3]
            covariance = ((p - p.mean()) * (q - q.mean())).mean()
            ssim = (2 * p.mean() * q.mean() + 1e-4) * (2 * covariance + 9e-4)
            ssim /= (p.mean() ** 2 + q.mean() ** 2 + 1e-4) * (p.var() + q.var() + 9e-4)
            losses.append(np.clip((1 - ssim) / 2, 0, 1))
    assert ssim_loss(x, y).item() == pytest.approx(np.mean(losses), rel=1e-4)
    assert ssim_loss(x, x).item() == pytest.approx(0, abs=1e-5)


def test_light_is_the_weighted_sum(x: torch.Tensor, y: torch.Tensor) -> None:
    for variant in ("paper", "release"):
        total = light_loss(x, y, x.mean(), variant)  # type: ignore[arg-type]
        parts = 10 * total_variation_loss(x - y, variant) + exposure_loss(y, x.mean(), variant)  # type: ignore[arg-type]
        assert total.item() == pytest.approx((parts + ssim_loss(x, y)).item(), rel=1e-6)


def test_neighbourhood_maximum_by_loops() -> None:
    p = probabilities(3, 2, 19, 5, 6)
    label = torch.randint(0, 19, (2, 5, 6), generator=torch.Generator().manual_seed(4))
    before = p.clone(), label.clone()
    ours = neighbourhood_probability(p, label)
    for n in range(2):
        for i in range(5):
            for j in range(6):
                window = p[n, label[n, i, j], max(0, i - 1) : i + 2, max(0, j - 1) : j + 2]
                assert ours[n, i, j] == window.max()
    assert torch.equal(p, before[0]) and torch.equal(label, before[1])  # as they were


@pytest.mark.parametrize("kind", ["neighbourhood", "focal", "cross_entropy"])
def test_static_loss_by_loops(kind: str) -> None:
    p = probabilities(5, 1, 19, 4, 5)
    label = torch.randint(0, 11, (1, 4, 5), generator=torch.Generator().manual_seed(6))
    label[0, 1, 1:3] = IGNORE
    losses = []
    for i in range(4):
        for j in range(5):
            if label[0, i, j] == IGNORE:
                continue
            around = 1 if kind == "neighbourhood" else 0
            window = p[
                0, label[0, i, j], max(0, i - around) : i + around + 1, max(0, j - around) : j + around + 1
            ]
            best = window.max().item()
            factor = 1 if kind == "cross_entropy" else (1 - best) ** 2
            losses.append(-factor * np.log(best))
    ours = static_loss(p, label, kind, gamma=2.0)  # type: ignore[arg-type]
    assert ours.item() == pytest.approx(np.mean(losses), rel=1e-5)


def test_static_loss_without_a_pixel_or_a_chance() -> None:
    p = probabilities(7, 1, 19, 3, 3).requires_grad_()
    nothing = torch.full((1, 3, 3), IGNORE)
    assert static_loss(p, nothing, "neighbourhood").item() == 0
    sure = torch.zeros(1, 19, 3, 3).index_fill_(1, torch.tensor(5), 1.0).requires_grad_()  # p of class 0 is 0
    loss = static_loss(sure, torch.zeros(1, 3, 3, dtype=torch.long), "neighbourhood")
    loss.backward()
    assert loss.isfinite() and sure.grad is not None and sure.grad.isfinite().all()


def test_pseudo_labels() -> None:
    day, night = probabilities(8, 1, 19, 6, 7), probabilities(9, 1, 19, 6, 7)
    day[0, 2, 0, 0], night[0, :, 0, 0] = 0.9, 0.0
    weights = torch.linspace(0.8, 1.2, 19)
    for variant in ("paper", "release"):
        ours = pseudo_label(day, night, weights, variant)  # type: ignore[arg-type]
        for i in range(6):
            for j in range(7):
                scores = []
                for c in range(19):
                    d, n = day[0, c, i, j].item(), night[0, c, i, j].item()
                    t = (0.8 if d > 0.4 else 0.2) if variant == "release" else 1
                    scores.append(weights[c].item() * (t * d + (1 - t) * n))
                best = int(np.argmax(scores))
                assert ours[0, i, j] == (best if best < 11 else IGNORE)
    assert pseudo_label(day, night, weights, "paper")[0, 0, 0] == 2


def test_least_squares() -> None:
    assert least_squares(torch.tensor([[1.0, 3.0]]), 0).item() == 5
    assert least_squares(torch.tensor([[1.0, 3.0]]), 1).item() == 2

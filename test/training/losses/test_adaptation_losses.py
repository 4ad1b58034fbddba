# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""DANNet's losses, and Bi-Mix's own, against slow, obvious formulas and the figures of the released ones."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.reference_weights import reference_image
from torch import Tensor
from torch.nn import functional as F

from night_seg_ros.models.classes import IGNORE
from night_seg_ros.training.losses.adaptation import (
    adversarial_loss,
    exposure_loss,
    light_loss,
    neighbourhood_probability,
    pseudo_label,
    released_static_probabilities,
    self_supervised_loss,
    ssim_loss,
    static_loss,
    total_variation_loss,
)

GOLDEN = np.load(Path(__file__).parents[2] / "helpers" / "reference" / "golden.npz")


@pytest.fixture
def x() -> Tensor:
    return torch.from_numpy(reference_image(96, 160))


@pytest.fixture
def y() -> Tensor:
    return torch.from_numpy(reference_image(96, 160, "y"))


def probabilities(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).softmax(dim=1)


def test_released_figures(x: Tensor, y: Tensor) -> None:
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


def test_light_is_the_weighted_sum(x: Tensor, y: Tensor) -> None:
    for variant in ("paper", "release"):
        total = light_loss(x, y, x.mean(), variant)  # type: ignore[arg-type]
        parts = 10 * total_variation_loss(x - y, variant) + exposure_loss(y, x.mean(), variant)  # type: ignore[arg-type]
        assert total.item() == pytest.approx((parts + ssim_loss(x, y)).item(), rel=1e-6)


def probability_of_eq_9(p: np.ndarray, label: np.ndarray, i: int, j: int) -> float:
    """max over c and (k, l) of o(c, k, l) * P(c, i, j), (k, l) within one pixel of (i, j)."""
    best = 0.0
    for c in range(11):
        for k in (i - 1, i, i + 1):
            for m in (j - 1, j, j + 1):
                inside = 0 <= k < label.shape[0] and 0 <= m < label.shape[1]
                if inside and label[k, m] == c:
                    best = max(best, float(p[c, i, j]))
    return best


def some_labels(seed: int, *shape: int) -> Tensor:
    """Pseudo labels, a third of them ignored: alone, in groups and at the edge."""
    generator = torch.Generator().manual_seed(seed)
    label = torch.randint(0, 11, shape, generator=generator)
    label[torch.rand(shape, generator=generator) < 0.3] = IGNORE
    label[:, :3, -3:] = IGNORE
    return label


def test_neighbourhood_by_loops() -> None:
    p, label = probabilities(3, 2, 19, 7, 6), some_labels(4, 2, 7, 6)
    ours = neighbourhood_probability(p, label)
    for n, i, j in np.ndindex(2, 7, 6):
        assert ours[n, i, j].item() == pytest.approx(
            probability_of_eq_9(p[n].numpy(), label[n].numpy(), i, j), rel=1e-6
        )
    assert (ours[:, :2, -2:] == 0).all()  # nothing is labelled there or next to it


@pytest.mark.parametrize("gamma", [0.0, 1.0, 2.0])
@pytest.mark.parametrize("kind", ["neighbourhood", "focal", "cross_entropy"])
def test_static_loss_by_loops(kind: str, gamma: float) -> None:
    p, label = probabilities(5, 2, 19, 7, 6), some_labels(6, 2, 7, 6)
    losses = []
    for n, i, j in np.ndindex(2, 7, 6):
        own = int(label[n, i, j])
        if own == IGNORE:
            continue
        best = p[n, own, i, j].item()
        if kind == "neighbourhood":
            best = probability_of_eq_9(p[n].numpy(), label[n].numpy(), i, j)
        factor = 1 if kind == "cross_entropy" else (1 - best) ** gamma
        losses.append(-factor * np.log(best))
    ours = static_loss(p, label, kind, gamma)  # type: ignore[arg-type]
    assert ours.item() == pytest.approx(np.mean(losses), rel=1e-5)
    over_all_pixels = np.sum(losses) / label.numel()
    assert ours.item() > 1.4 * over_all_pixels  # which would be the loss by another N


def test_a_night_that_is_right_in_one_pixel_of_nine() -> None:
    """It must cost: a maximum over the night's neighbours instead of the label's sees none of the errors."""
    said = torch.full((9, 9), 8)
    said[1::3, 1::3] = 2  # every ninth pixel, so that each pixel has one of them next to it or is one
    p = (6.0 * F.one_hot(said, 19).permute(2, 0, 1)[None]).softmax(dim=1)
    label = torch.full((1, 9, 9), 2)
    right = np.exp(6) / (np.exp(6) + 18)
    wrong = 1 / (np.exp(6) + 18)
    expected = -(1 - right) * np.log(right) / 9 - (1 - wrong) * np.log(wrong) * 8 / 9
    assert static_loss(p, label, "neighbourhood").item() == pytest.approx(expected, rel=1e-4)
    assert expected == pytest.approx(5.36, abs=0.01)
    transposed = F.max_pool2d(p, kernel_size=3, stride=1, padding=1)
    assert static_loss(transposed, label, "focal").item() == pytest.approx(0.0019, abs=1e-4)


def test_a_label_that_is_one_pixel_off_costs_nothing_more() -> None:
    """A border that the day shows one column further left than the night."""
    night = torch.zeros(1, 6, 8, dtype=torch.long)
    night[..., 4:] = 10
    p = (9.0 * F.one_hot(night, 19).permute(0, 3, 1, 2)).softmax(dim=1)
    day = torch.zeros_like(night)
    day[..., 3:] = 10
    aligned = static_loss(p, night, "neighbourhood")
    assert static_loss(p, day, "neighbourhood").item() == pytest.approx(aligned.item(), rel=1e-4)
    assert static_loss(p, day, "focal") > 100 * aligned
    two_off = torch.zeros_like(night)
    two_off[..., 2:] = 10
    assert static_loss(p, two_off, "neighbourhood") > 100 * aligned


def test_a_pixel_without_a_label_of_its_own_does_not_count() -> None:
    """Though its neighbours have one: the night may call a parked car a car."""
    p, label = probabilities(7, 1, 19, 3, 3), torch.full((1, 3, 3), 2)
    label[0, 1, 1] = IGNORE
    changed = p.clone()
    changed[0, :, 1, 1] = torch.linspace(0, 0.1, 19)
    assert torch.equal(static_loss(p, label, "neighbourhood"), static_loss(changed, label, "neighbourhood"))


def test_static_loss_without_a_pixel_or_a_chance() -> None:
    p = probabilities(7, 1, 19, 3, 3).requires_grad_()
    nothing = torch.full((1, 3, 3), IGNORE)
    assert static_loss(p, nothing, "neighbourhood").item() == 0
    sure = torch.zeros(1, 19, 3, 3).index_fill_(1, torch.tensor(5), 1.0).requires_grad_()  # p of class 0 is 0
    loss = static_loss(sure, torch.zeros(1, 3, 3, dtype=torch.long), "neighbourhood")
    loss.backward()
    assert loss.isfinite() and sure.grad is not None and sure.grad.isfinite().all()


def test_a_probability_of_1_has_a_gradient_too() -> None:
    """Of a gamma below 1, whose factor is infinitely steep there."""
    p = torch.zeros(1, 19, 3, 3).index_fill_(1, torch.tensor(4), 1.0).requires_grad_()
    loss = static_loss(p, torch.full((1, 3, 3), 4), "neighbourhood", gamma=0.5)
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=1e-6)
    assert p.grad is not None and p.grad.isfinite().all()


def logits(seed: int, *shape: int) -> Tensor:
    return 3 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_pseudo_labels_of_the_paper_by_loops() -> None:
    day, night = logits(8, 2, 19, 6, 7), logits(9, 2, 19, 6, 7)
    weights = torch.linspace(0.6, 1.4, 19)
    ours = pseudo_label(day, night, weights, "paper")
    for n, i, j in np.ndindex(2, 6, 7):
        exponentials = np.exp(day[n, :, i, j].double().numpy())
        scores = [weights[c].item() * exponentials[c] / exponentials.sum() for c in range(19)]
        best = int(np.argmax(scores))
        assert ours[n, i, j] == (best if best < 11 else IGNORE)
    assert not torch.equal(ours, pseudo_label(day, night, torch.ones(19), "paper"))


def test_pseudo_labels_of_the_release_by_loops() -> None:
    day, night = logits(8, 2, 19, 6, 7), logits(9, 2, 19, 6, 7)
    weights = torch.linspace(0.6, 1.4, 19)
    ours = pseudo_label(day, night, weights, "release")
    of_probabilities = pseudo_label(day.softmax(1), night.softmax(1), weights, "release")
    for n, i, j in np.ndindex(2, 6, 7):
        scores = []
        for c in range(19):
            d, x = day[n, c, i, j].item(), night[n, c, i, j].item()
            if c < 11:
                x = 0.8 * d + 0.2 * x if d > 0.4 else 0.2 * d + 0.8 * x
            scores.append(weights[c].item() * x)
        best = int(np.argmax(scores))
        assert ours[n, i, j] == (best if best < 11 else IGNORE)
    assert 0.3 < (ours == IGNORE).float().mean() < 0.9
    assert not torch.equal(ours, of_probabilities)


def test_released_static_loss_by_loops() -> None:
    """The softmax of the first 11 logits alone, times the weights; the largest of the labels around."""
    night, label = logits(10, 2, 19, 7, 6), some_labels(11, 2, 7, 6)
    weights = torch.linspace(0.7, 1.3, 19)
    losses = []
    for n, i, j in np.ndindex(2, 7, 6):
        if label[n, i, j] == IGNORE:
            continue
        p = np.zeros((11, 7, 6))
        exponentials = np.exp(night[n, :11, i, j].double().numpy())
        p[:, i, j] = weights[:11].numpy() * exponentials / exponentials.sum()
        best = min(probability_of_eq_9(p, label[n].numpy(), i, j), 1.0)
        losses.append(-(1 - best) * np.log(best))
    ours = static_loss(released_static_probabilities(night, weights), label, "neighbourhood")
    assert ours.item() == pytest.approx(np.mean(losses), rel=1e-4)
    paper = static_loss(night.softmax(dim=1), label, "neighbourhood")
    assert abs(ours - paper) > 0.05 * paper


@pytest.mark.parametrize("gamma", [0.0, 1.0, 2.0])
def test_self_supervised_loss_by_loops(gamma: float) -> None:
    """Of all pixels and classes: the days here see moving things in two pixels of five."""
    day, night = logits(12, 2, 19, 5, 6).softmax(1), logits(13, 2, 19, 5, 6).softmax(1)
    losses, transposed = [], []
    for n, i, j in np.ndindex(2, 5, 6):
        best = int(day[n, :, i, j].argmax())
        sure, p = day[n, best, i, j].item(), night[n, best, i, j].item()
        losses.append(-((1 - sure) ** gamma) * np.log(p))
        transposed.append(-((1 - p) ** gamma) * np.log(sure))
    ours = self_supervised_loss(day, night, gamma).item()
    assert ours == pytest.approx(np.mean(losses), rel=1e-5)
    assert ours > 1.5 * np.mean(transposed)
    assert 0.3 < (day.argmax(1) > 10).float().mean() < 0.5
    if gamma:  # of the factor of DANNet's focal loss, 1 - p_n
        focal = static_loss(night[:, :], day.argmax(1), "focal", gamma).item()
        assert abs(ours - focal) > 0.1 * focal


def test_self_supervision_teaches_the_night_alone() -> None:
    day, night = (logits(seed, 1, 19, 4, 4).softmax(1).requires_grad_() for seed in (14, 15))
    self_supervised_loss(day, night).backward()
    assert day.grad is None and night.grad is not None
    taught = torch.zeros(1, 19, 4, 4).scatter_(1, day.argmax(1, keepdim=True), 1.0).bool()
    assert (night.grad[taught] < 0).all() and (night.grad[~taught] == 0).all()


def test_losses_are_pure() -> None:
    """Inputs stay as they are; the type is theirs."""
    day, night, image = (logits(seed, 1, 19, 32, 32).double() for seed in (16, 17, 18))
    label, weights = some_labels(19, 1, 32, 32), torch.linspace(0.8, 1.2, 19)
    inputs = (day, night, image, label, weights)
    before = [each.clone() for each in inputs]
    p, rgb, relit = night.softmax(1), image[:, :3], image[:, 3:6]
    kept = p.clone()
    losses = [static_loss(p, label, kind) for kind in ("neighbourhood", "focal", "cross_entropy")]  # type: ignore[arg-type]
    losses += [light_loss(rgb, relit, rgb.mean(), variant) for variant in ("paper", "release")]  # type: ignore[arg-type]
    losses += [adversarial_loss(day, 1, kind) for kind in ("least_squares", "cross_entropy")]  # type: ignore[arg-type]
    losses.append(self_supervised_loss(day.softmax(1), p))
    losses.append(static_loss(released_static_probabilities(night, weights), label, "neighbourhood"))
    assert all(loss.dtype == torch.float64 and loss.dim() == 0 for loss in losses)
    for variant in ("paper", "release"):
        assert pseudo_label(day, night, weights, variant).dtype == torch.int64  # type: ignore[arg-type]
    assert all(torch.equal(a, b) for a, b in zip(inputs, before, strict=True)) and torch.equal(p, kept)


def test_adversarial_losses_by_hand() -> None:
    scores = torch.tensor([[1.0, 3.0]])
    assert adversarial_loss(scores, 0).item() == 5
    assert adversarial_loss(scores, 1).item() == 2
    for target in (0, 1):
        sigmoids = [1 / (1 + math.exp(-score)) for score in (1.0, 3.0)]
        expected = -sum(math.log(p if target else 1 - p) for p in sigmoids) / 2
        assert adversarial_loss(scores, target, "cross_entropy").item() == pytest.approx(expected)

# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""Mixing of source, day and night, against loops over pixels."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from night_seg_ros.models.classes import IGNORE
from night_seg_ros.training.losses.mixing import (
    confident_share,
    dynamic_classes,
    half_of_classes,
    mix,
    mixed_cross_entropy,
)


def labels(*ids: list[int], size: int = 8) -> Tensor:
    """An image for each list of ids, which it shows at random places, each at least once."""
    rng = np.random.default_rng(0)
    images = []
    for own in ids:
        image = rng.choice(own, size * size)
        image[: len(own)] = own
        images.append(rng.permutation(image).reshape(size, size))
    return torch.from_numpy(np.stack(images)).long()


def test_half_of_the_classes_of_each_image() -> None:
    label = labels([0, 1, 2, 3], [5, 11, 18], [7], [IGNORE], [3, 9, IGNORE], list(range(19)))
    sets = set()
    for seed in range(40):
        torch.manual_seed(seed)
        mask = half_of_classes(label)
        chosen = [set(image[where].tolist()) for image, where in zip(label, mask, strict=True)]
        rest = [set(image[~where].tolist()) for image, where in zip(label, mask, strict=True)]
        assert not any(a & b for a, b in zip(chosen, rest, strict=True))  # a class is pasted whole, or not
        assert [len(each) for each in chosen] == [2, 2, 1, 0, 1, 10]
        assert not any(IGNORE in each for each in chosen)
        sets.add(frozenset(chosen[0]))
    assert len(sets) == 6  # every two of four classes come up


def test_half_of_the_classes_depends_on_the_seed_alone() -> None:
    label = labels(list(range(19)), list(range(19)))
    masks = []
    for _ in range(2):
        torch.manual_seed(3)
        masks.append(half_of_classes(label))
    assert torch.equal(*masks)
    assert not torch.equal(masks[0][0], half_of_classes(label)[0])


def test_mix_by_loops() -> None:
    generator = torch.Generator().manual_seed(1)
    mask = torch.rand(2, 5, 7, generator=generator) < 0.5
    images = [torch.randn(2, 3, 5, 7, generator=generator) for _ in range(2)]
    label = [torch.randint(0, 19, (2, 5, 7), generator=generator) for _ in range(2)]
    before = [each.clone() for each in (*images, *label)]
    mixed, mixed_label = mix(mask, *images), mix(mask, *label)
    for n in range(2):
        for i in range(5):
            for j in range(7):
                taken = 0 if mask[n, i, j] else 1
                assert torch.equal(mixed[n, :, i, j], images[taken][n, :, i, j])
                assert mixed_label[n, i, j] == label[taken][n, i, j]
    assert all(torch.equal(a, b) for a, b in zip(before, (*images, *label), strict=True))


def test_image_and_label_stay_together_when_flipped() -> None:
    """The label is written into the image: wherever a class is pasted, its picture is."""
    label, night = labels([0, 4, 13]), labels([1, 10])
    torch.manual_seed(0)
    mask = half_of_classes(label)
    for turn in (lambda x: x, lambda x: x.flip(-1)):
        mixed = mix(turn(mask), turn(label), turn(night))
        image = mix(turn(mask), turn(label).unsqueeze(1).float(), turn(night).unsqueeze(1).float())
        assert torch.equal(image.squeeze(1).long(), mixed)


def test_dynamic_classes_by_loops() -> None:
    probabilities = torch.randn(2, 19, 6, 6, generator=torch.Generator().manual_seed(2)).softmax(1)
    mask = dynamic_classes(probabilities)
    for n, i, j in np.ndindex(2, 6, 6):
        assert mask[n, i, j] == (int(probabilities[n, :, i, j].argmax()) in range(11, 19))
    road = torch.zeros(1, 19, 4, 4).index_fill_(1, torch.tensor(0), 1)
    assert not dynamic_classes(road).any()


@pytest.mark.parametrize("confidence", [None, [0.25, 0.75]])
def test_mixed_cross_entropy_by_loops(confidence: list[float] | None) -> None:
    generator = torch.Generator().manual_seed(4)
    scores = torch.randn(2, 19, 4, 4, generator=generator)
    label = torch.randint(0, 19, (2, 4, 4), generator=generator)
    label[0, 0] = IGNORE
    trusted = torch.rand(2, 4, 4, generator=generator) < 0.4
    total, count = 0.0, 0
    for n, i, j in np.ndindex(2, 4, 4):
        if label[n, i, j] != IGNORE:
            weight = 1.0 if confidence is None or trusted[n, i, j] else confidence[n]
            logits = scores[n, :, i, j].double().numpy()
            total += weight * (np.log(np.exp(logits).sum()) - logits[label[n, i, j]])
            count += 1
    given = None if confidence is None else torch.tensor(confidence)
    loss = mixed_cross_entropy(scores, label, trusted, given)
    assert loss.item() == pytest.approx(total / count, rel=1e-5)
    assert mixed_cross_entropy(scores, torch.full_like(label, IGNORE), trusted, given).item() == 0


def test_confident_share() -> None:
    sure = torch.zeros(2, 19, 2, 2)
    sure[:, 0], sure[:, 1] = 0.97, 0.03
    sure[1, 0, 0], sure[1, 1, 0] = 0.96, 0.04
    assert confident_share(sure).tolist() == [1.0, 0.5]

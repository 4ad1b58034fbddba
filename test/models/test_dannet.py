# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""DANNet's networks against the figures of the released ones, and the import of released weights."""

from __future__ import annotations

import json
import math
import statistics
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.reference_weights import reference_image, reference_state_dict
from torch import Tensor

from night_seg_ros import Segmenter
from night_seg_ros.cli import main
from night_seg_ros.models import build_model
from night_seg_ros.models.checkpoint import CheckpointError, import_released, load_model, save_checkpoint
from night_seg_ros.models.dannet import CITYSCAPES_SHARES, ClassReweighting, class_weights, spread
from night_seg_ros.models.discriminator import Discriminator
from night_seg_ros.models.relighting import ResidualRelighting

REFERENCE = Path(__file__).parents[1] / "helpers" / "reference"
GOLDEN = np.load(REFERENCE / "golden.npz")
NETWORKS = ["pspnet", "deeplab", "refinenet"]


def released(name: str) -> dict[str, Tensor]:
    """A state dict as it was published, with fixed numbers for weights."""
    shapes = json.loads((REFERENCE / f"keys_{name}.json").read_text())
    return {key: torch.from_numpy(np.asarray(v)) for key, v in reference_state_dict(shapes).items()}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Released-shaped files, as PyTorch writes them."""
    folder = tmp_path_factory.mktemp("released")
    for name in (*NETWORKS, "relight"):
        torch.save(released(f"dannet_{name}"), folder / f"{name}.pth")
    return folder


def assert_near(ours: Tensor, golden: np.ndarray) -> None:
    """Within 1e-4 of the largest magnitude."""
    assert ours.shape == golden.shape
    assert np.abs(ours.numpy() - golden).max() < 1e-4 * np.abs(golden).max()


@pytest.mark.parametrize("network", NETWORKS)
@torch.no_grad()
def test_import_gives_the_released_figures(network: str, files: Path, tmp_path: Path, capsys) -> None:
    out = tmp_path / "dannet.safetensors"
    command = ["import-weights", "dannet", "--segmentation-network", network, "--out", str(out)]
    command += ["--segmentation", str(files / f"{network}.pth"), "--relighting", str(files / "relight.pth")]
    assert main(command) == 0
    model, metadata = load_model(out)
    assert metadata["input_size"] == [540, 960] and metadata["reweighting_std"] == 0.16
    image = torch.from_numpy(reference_image(96, 160))
    output = model.segmentation_network(image)
    assert_near(output.logits, GOLDEN[f"dannet_{network}"])
    if network != "refinenet":
        third = model.segmentation_network.encoder(image)[2]
        assert_near(model.segmentation_network.aux_head(third), GOLDEN[f"dannet_{network}_aux"])
    assert output.aux_logits is None  # outside of training
    assert_near(model.relighting_network(image)[..., ::4, ::4], GOLDEN["dannet_relight"])

    # The whole model: relit, segmented, re-weighted as the release does it.
    whole = model(image)
    torch.testing.assert_close(whole.relit, image + model.relighting_network(image))
    logits = model.segmentation_network(whole.relit).logits
    weights = torch.from_numpy(GOLDEN["class_weights_std0.16"]).float().view(1, 19, 1, 1)
    torch.testing.assert_close(whole.logits, logits * weights)


@torch.no_grad()
def test_discriminator_gives_the_released_figures() -> None:
    discriminator = Discriminator()
    weights = released("discriminator").values()
    discriminator.load_state_dict(dict(zip(discriminator.state_dict(), weights, strict=True)))
    prediction = torch.from_numpy(reference_image(96, 160, "logits", 19)).softmax(dim=1)
    assert_near(discriminator(prediction), GOLDEN["discriminator"])


@pytest.mark.parametrize("std", [0.05, 0.16])
def test_class_weights_are_the_released_ones(std: float) -> None:
    assert_near(class_weights(CITYSCAPES_SHARES, std), GOLDEN[f"class_weights_std{std}"])


def test_a_class_without_a_share_weighs_as_the_rarest() -> None:
    weights = class_weights([0.7, 0.2, 0.0, 0.1], 0.05)
    assert torch.equal(weights[2], weights[3]) and weights[0] < weights[1] < weights[2]
    assert weights.std().item() == pytest.approx(0.05) and weights.mean().item() == pytest.approx(1)


def test_class_weights_need_shares_and_a_fitting_deviation() -> None:
    with pytest.raises(ValueError, match="0 or more, and not all 0"):
        class_weights([0.5, 0.6, -0.1], 0.05)
    with pytest.raises(ValueError, match="not all 0"):
        class_weights([0.0, 0.0], 0.05)
    for shares in ([float("nan"), 0.5, 0.2], [0.5, float("nan"), 0.2]):
        with pytest.raises(ValueError, match="0 or more"):
            class_weights(shares, 0.05)
    with pytest.raises(ValueError, match="std 2 is too large"):
        class_weights(CITYSCAPES_SHARES, 2)
    with pytest.raises(ValueError, match="std -0.1 of the class weights: give 0 or more"):
        class_weights(CITYSCAPES_SHARES, -0.1)


def test_class_weights_by_the_formula() -> None:
    """Eq. 1 and 2, with the sample deviation, which the released figures have."""
    shares, std, average = [0.6, 0.25, 0.1, 0.05], 0.3, 1.5
    information = [-math.log(share) for share in shares]
    mean, deviation = statistics.fmean(information), statistics.stdev(information)
    expected = [(each - mean) / deviation * std + average for each in information]
    torch.testing.assert_close(class_weights(shares, std, average), torch.tensor(expected))
    population = [(each - mean) / statistics.pstdev(information) * std + average for each in information]
    assert abs(population[0] - expected[0]) > 0.05


def test_classes_that_weigh_the_same() -> None:
    """Of equal shares, of which only rounding could tell one from another, and without a deviation."""
    for shares, std in (([1 / 19] * 19, 0.05), ([0.5, 0.5, 0.0], 0.05), (CITYSCAPES_SHARES, 0.0)):
        assert torch.equal(class_weights(shares, std, 1.25), torch.full((len(shares),), 1.25))


def test_weights_can_be_spread_anew() -> None:
    """Those of testing are those of training, spread wider."""
    weights = spread(class_weights(CITYSCAPES_SHARES, 0.05), 0.16, 1.0)
    torch.testing.assert_close(weights, class_weights(CITYSCAPES_SHARES, 0.16))


@torch.no_grad()
def test_segment_leaves_the_light_as_it_is() -> None:
    model = build_model("dannet", backbone="resnet10", relighting_width=4, output_stride=16).eval()
    model.reweighting.weights = class_weights(CITYSCAPES_SHARES, 0.16)
    image = torch.randn(1, 3, 64, 64)
    output = model.segment(image)
    expected = model.reweighting(model.segmentation_network(image).logits)
    assert output.relit is None and torch.equal(output.logits, expected)
    assert not torch.allclose(model(image).logits, expected)


def test_reweighting_of_the_prediction() -> None:
    """The paper's label is the argmax of w times softmax; the release's of w times the logits."""
    torch.manual_seed(0)
    logits, weights = torch.randn(2, 5, 4, 4), torch.tensor([0.5, 1.0, 1.5, 0.8, 1.2])
    expected = {
        "probabilities": logits.softmax(1) * weights.view(1, 5, 1, 1),
        "logits": logits * weights.view(1, 5, 1, 1),
        "none": logits,
    }
    for kind, scores in expected.items():
        reweighting = ClassReweighting(5, kind)  # type: ignore[arg-type]
        reweighting.weights = weights
        answer = reweighting(logits)
        torch.testing.assert_close(answer.argmax(1), scores.argmax(1))
        if kind == "probabilities":  # the confidence is that of the re-weighted prediction
            torch.testing.assert_close(answer.softmax(1), scores / scores.sum(1, keepdim=True))
    with pytest.raises(ValueError, match="known: probabilities, logits, none"):
        ClassReweighting(5, "sum")  # type: ignore[arg-type]


def test_training_sees_the_logits_as_they_are() -> None:
    model = build_model("dannet", backbone="resnet10", relighting_width=4, output_stride=16).eval()
    model.reweighting.weights = class_weights(CITYSCAPES_SHARES, 0.16)
    image = torch.randn(1, 3, 64, 64)
    plain = model.segmentation_network(image + model.relighting_network(image)).logits
    torch.testing.assert_close(model(image).logits, plain + model.reweighting.weights.log().view(1, 19, 1, 1))
    model.training = False
    for name in ("relighting_network", "segmentation_network"):
        getattr(model, name).eval()
    model.training = True  # its children stay in evaluation mode
    torch.testing.assert_close(model(image).logits, plain)


@pytest.mark.parametrize("size", [(32, 32), (33, 47), (97, 161)])
@pytest.mark.parametrize("network", NETWORKS)
@torch.no_grad()
def test_any_size(network: str, size: tuple[int, int]) -> None:
    model = build_model(
        "dannet", backbone="resnet10", segmentation_network=network, relighting_width=4
    ).eval()
    output = model(torch.randn(1, 3, *size))
    stride = 4 if network == "refinenet" else 8
    for side, of in zip(output.logits.shape[-2:], size, strict=True):
        assert abs(side - of / stride) < 1.5  # the pools round up
    assert output.relit.shape == (1, 3, *size) and output.exposure is None and output.align_corners


@pytest.mark.parametrize("height", [8, 9, 10, 11])
def test_relighting_of_a_small_image_is_bounded(height: int) -> None:
    added = ResidualRelighting(width=2)(torch.randn(2, 3, height, 13))
    assert added.shape == (2, 3, height, 13) and added.abs().max() <= 1


@pytest.mark.parametrize("backbone", ["resnet10", "resnet18", "resnet34", "resnet50", "resnet101"])
@pytest.mark.parametrize("network", NETWORKS)
def test_every_backbone(backbone: str, network: str) -> None:
    with torch.device("meta"):
        model = build_model(network, backbone=backbone)
        assert model(torch.empty(1, 3, 64, 64)).logits.shape[1] == 19


def test_without_relighting_network(tmp_path: Path) -> None:
    model = build_model("dannet", backbone="resnet10", relighting="none", output_stride=16)
    assert model(torch.randn(2, 3, 64, 64)).relit is None
    save_checkpoint(tmp_path / "w.safetensors", model, {})
    again, _ = load_model(tmp_path / "w.safetensors")
    assert again.relighting_network is None


def test_checkpoint_keeps_the_weights_of_the_classes(tmp_path: Path) -> None:
    model = build_model("dannet", backbone="resnet10", segmentation_network="deeplab", relighting_width=4)
    model.reweighting.weights = class_weights(CITYSCAPES_SHARES, 0.16)
    save_checkpoint(tmp_path / "w.safetensors", model, {"input_size": [64, 96]})
    again, _ = load_model(tmp_path / "w.safetensors")
    image = torch.randn(1, 3, 64, 96)
    torch.testing.assert_close(again(image).logits, model.eval()(image).logits)
    frame = np.random.default_rng(0).integers(0, 256, (72, 100, 3), np.uint8)
    segmentation = Segmenter(tmp_path / "w.safetensors", device="cpu", precision="fp32")(frame)
    assert segmentation.relit is not None and segmentation.relit.shape == (72, 100, 3)
    np.testing.assert_array_equal(segmentation.exposure, frame.max(axis=2))  # the V channel


@pytest.mark.parametrize("kind", ["missing", "extra", "misshapen"])
def test_a_wrong_file_is_named_with_its_tensor(kind: str, files: Path, tmp_path: Path, capsys) -> None:
    state: dict[str, Any] = released("dannet_relight")
    if kind == "missing":
        state.pop("model.11.conv_block.5.weight")
    if kind == "extra":
        state["model.99.weight"] = torch.zeros(1)
    if kind == "misshapen":
        state["model.1.weight"] = torch.zeros(3)
    path = tmp_path / "relight.pth"
    torch.save(state, path)
    command = ["import-weights", "dannet", "--segmentation-network", "pspnet", "--out", str(tmp_path / "w")]
    command += ["--segmentation", str(files / "pspnet.pth"), "--relighting", str(path)]
    assert main(command) == 1
    error = capsys.readouterr().err
    tensor = {"missing": "model.11.conv_block.5.weight", "extra": "model.99.weight"}.get(
        kind, "model.1.weight"
    )
    assert f"{path}: tensor '{tensor}'" in error and kind in error.replace(
        "does not belong", "extra"
    ).replace("has shape", "misshapen")
    assert not (tmp_path / "w").exists()


@pytest.mark.parametrize("change", ["is missing", "has shape"])
def test_tensors_without_use_must_be_there_too(change: str, files: Path, tmp_path: Path) -> None:
    """Two branches of the released DeepLab add nothing to its answer; a file without them is another's."""
    state = released("dannet_deeplab")
    name = "layer6.conv2d_list.3.weight"
    if change == "is missing":
        del state[name]
    else:
        state[name] = torch.zeros(19, 8, 3, 3)
    path = tmp_path / "deeplab.pth"
    torch.save(state, path)
    with pytest.raises(CheckpointError, match=f"deeplab.pth: tensor '{name}' {change}"):
        import_released("dannet", "deeplab", path, files / "relight.pth")


def test_files_of_another_network_or_with_code_in_them(files: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="deeplab.pth: tensor"):
        import_released("dannet", "pspnet", files / "deeplab.pth", files / "relight.pth")

    class Code:
        def __reduce__(self) -> tuple[Any, Any]:
            return Path.touch, (tmp_path / "ran",)

    torch.save({"weight": Code()}, tmp_path / "code.pth")
    with pytest.raises(CheckpointError, match="code.pth holds no weights that can be read safely"):
        import_released("dannet", "pspnet", tmp_path / "code.pth", files / "relight.pth")
    assert not (tmp_path / "ran").exists()
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(CheckpointError, match="list.pth is not a state dict"):
        import_released("dannet", "pspnet", tmp_path / "list.pth", files / "relight.pth")
    with pytest.raises(FileNotFoundError, match="nowhere.pth"):
        import_released("dannet", "pspnet", tmp_path / "nowhere.pth", files / "relight.pth")


def test_unknown_parts_are_named() -> None:
    with pytest.raises(ValueError, match="known: pspnet, deeplab, refinenet"):
        build_model("dannet", segmentation_network="unet")
    with pytest.raises(ValueError, match="can't be built"):
        build_model("dannet", segmentation_network="refinenet", output_stride=16)


def test_node_publishes_the_relit_image(
    tmp_path: Path, ros_domain: int, capfd: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("rclpy", reason="rclpy is missing: source ROS 2 or install .[ros]")
    from helpers.node_bench import Bench, new_header, scene

    from night_seg_ros.media.conversion import array_to_image

    torch.manual_seed(0)
    model = build_model("dannet", backbone="resnet10", relighting_width=4, output_stride=16)
    weights = tmp_path / "w.safetensors"
    save_checkpoint(weights, model, {})
    bench = Bench(capfd, model="dannet", weights=str(weights))
    try:
        bench.until_active()
        bench.listen("labels", "relit", "exposure")
        frame, header = scene(48, 80), new_header()
        bench.camera().publish(array_to_image(frame, "bgr8", header))
        expected = Segmenter(weights, device="cpu", precision="fp32")(frame)
        assert expected.relit is not None
        for topic, image in (("labels", expected.labels), ("relit", expected.relit)):
            answer = bench.answer(topic, header)
            assert image is not None and bytes(answer.data) == image.tobytes()
        assert bytes(bench.answer("exposure", header).data) == frame.max(axis=2).tobytes()
        assert (answer.encoding, answer.height, answer.width) == ("bgr8", 48, 80)
    finally:
        bench.close()

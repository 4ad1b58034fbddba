# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""Every ablation of EGNet goes the whole way: recipe, training, checkpoint, files, node."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import yaml
from torch import Tensor, nn

from night_seg_ros import Segmenter
from night_seg_ros.cli import main
from night_seg_ros.models import build_model
from night_seg_ros.models.checkpoint import load_model
from night_seg_ros.models.egnet import ConcatGuidance, MapGuidance, SumGuidance

CONFIG = Path(__file__).resolve().parents[2] / "config" / "training"
ABLATIONS = sorted(path.stem for path in (CONFIG / "ablations" / "egnet").glob("*.yaml"))


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Each ablation after two real steps of its recipe, at a small size."""
    folder = tmp_path_factory.mktemp("ablations")
    small = {
        "model": {"backbone": "resnet10"},
        "schedule": {"iterations": 2},
        "data": {
            "train": [{"dataset": "synthetic", "night": 1.0}],
            "batch_size": 2,
            "crop": [64, 64],
            "canvas": [64, 64],
            "workers": 0,
        },
        "run": {"input_size": 64, "accelerator": "cpu"},
    }
    (folder / "small.yaml").write_text(yaml.safe_dump(small))
    recipes = [CONFIG / "egnet_study.yaml", folder / "small.yaml"]
    for name in ABLATIONS:
        argv = ["train", "egnet"]
        for recipe in [*recipes, CONFIG / "ablations" / "egnet" / f"{name}.yaml"]:
            argv += ["--config", str(recipe)]
        assert main([*argv, "--run.out", str(folder / name)]) == 0
    return {name: folder / name / "model.safetensors" for name in ABLATIONS}


def test_the_papers_seven_rows_are_there() -> None:
    chosen = {
        tuple(yaml.safe_load((CONFIG / "ablations" / "egnet" / f"{name}.yaml").read_text())["model"].values())
        for name in ABLATIONS
    }
    assert chosen == {
        ("attention", "stream"),
        ("none", "stream"),
        ("none", "none"),
        ("concat", "stream"),
        ("sum", "stream"),
        ("none", "input"),
        ("attention", "attention_map"),
    }


@pytest.mark.parametrize("name", ABLATIONS)
def test_checkpoint_and_files(name: str, checkpoints: dict[str, Path], tmp_path: Path) -> None:
    model, _ = load_model(checkpoints[name])
    with torch.no_grad():
        output = model(torch.randn(2, 3, 47, 65))
    assert output.logits.shape == (2, 19, 3, 5)
    has_stream = (
        yaml.safe_load((CONFIG / "ablations" / "egnet" / f"{name}.yaml").read_text())["model"]["exposure"]
        == "stream"
    )
    assert (output.exposure is not None) == has_stream
    cv2.imwrite(
        str(tmp_path / "a.png"), np.random.default_rng(0).integers(0, 256, (50, 70, 3)).astype(np.uint8)
    )
    arguments = ["--weights", str(checkpoints[name]), "--device", "cpu"]
    assert main(["segment", str(tmp_path / "a.png"), "--out", str(tmp_path / "out"), *arguments]) == 0
    assert cv2.imread(str(tmp_path / "out" / "a_labels.png"), cv2.IMREAD_UNCHANGED).shape == (50, 70)
    assert (tmp_path / "out" / "a_exposure.png").exists()


def test_one_node_runs_them_all(
    checkpoints: dict[str, Path], ros_domain: int, capfd: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("rclpy", reason="rclpy is missing: source ROS 2 or install .[ros]")
    from helpers.node_bench import Bench, new_header, scene
    from lifecycle_msgs.msg import Transition

    from night_seg_ros.media.conversion import array_to_image

    bench = Bench(capfd, weights=str(checkpoints["full"]))
    try:
        bench.until_active()
        bench.listen("labels")
        for weights in checkpoints.values():
            assert bench.change(Transition.TRANSITION_DEACTIVATE) and bench.change(
                Transition.TRANSITION_CLEANUP
            )
            assert bench.set(weights=str(weights))[0].successful
            assert bench.change(Transition.TRANSITION_CONFIGURE) and bench.change(
                Transition.TRANSITION_ACTIVATE
            )
            frame, header = scene(48, 80), new_header()
            bench.camera().publish(array_to_image(frame, "bgr8", header))
            expected = Segmenter(weights, device="cpu", precision="fp32")(frame).labels
            assert expected is not None
            assert bytes(bench.answer("labels", header).data) == expected.tobytes()
    finally:
        bench.close()


def number_of_parameters(guidance: str, exposure: str) -> int:
    model = build_model("egnet", backbone="resnet18", guidance=guidance, exposure=exposure)
    return sum(p.numel() for p in model.parameters())


def test_parameters_by_hand() -> None:
    def count(module: nn.Module) -> int:
        return sum(p.numel() for p in module.parameters())

    full = build_model("egnet", backbone="resnet18")
    stream = count(full.exposure_stages) + 512 * 9 + 1  # and its output layer
    attention = sum(c + 1 for c in (64, 128, 256))
    plain = count(full) - stream - attention
    assert number_of_parameters("none", "none") == plain
    assert number_of_parameters("none", "stream") == number_of_parameters("sum", "stream") == plain + stream
    assert number_of_parameters("concat", "stream") == plain + stream + sum(
        2 * c * c + c for c in (64, 128, 256)
    )
    assert number_of_parameters("none", "input") == plain + 64 * 7 * 7
    assert number_of_parameters("attention", "attention_map") == plain


def features(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)))


def test_guidance_by_hand() -> None:
    f_s, f_e = features(2, 3, 4, 5), features(2, 3, 4, 6)[..., :5]
    guided, attention = SumGuidance(1.5, 0.3)(f_s, f_e)
    torch.testing.assert_close(guided, 1.5 * f_s + 0.3 * f_e)
    assert attention is None
    concat = ConcatGuidance(3, 1.5, 0.3)
    weight, bias = concat.project.weight[:, :, 0, 0], concat.project.bias
    expected = (
        1.5 * torch.einsum("oc,nchw->nohw", weight[:, :3], f_s)
        + 0.3 * torch.einsum("oc,nchw->nohw", weight[:, 3:], f_e)
        + bias[:, None, None]
    )
    guided, attention = concat(f_s, f_e)
    torch.testing.assert_close(guided, expected)
    assert attention is None
    level = torch.rand(2, 1, 8, 10)
    blocks = level.view(2, 1, 4, 2, 5, 2).mean(dim=(3, 5))
    guided, attention = MapGuidance(1.0, 0.3)(f_s, level)
    torch.testing.assert_close(guided, f_s + 0.3 * blocks * f_s)
    torch.testing.assert_close(attention, blocks)


def test_the_fourth_channel_is_the_brightest_colour() -> None:
    model = build_model("egnet", backbone="resnet10", guidance="none", exposure="input").eval()
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    rgb = torch.rand(1, 3, 64, 64)
    brightest = rgb.argmax(dim=1, keepdim=True)

    def logits(rgb: Tensor) -> Tensor:
        return model((rgb - mean.view(3, 1, 1)) / std.view(3, 1, 1)).logits

    with torch.no_grad():
        model.stem.conv1.weight[:, :3] = 0  # nothing but the fourth channel is seen
        torch.testing.assert_close(logits(rgb.scatter(1, (brightest + 1) % 3, 0.0)), logits(rgb))
        assert not torch.allclose(logits(rgb.scatter(1, brightest, 1.0)), logits(rgb))


def test_pretrained_weights_of_three_channels_fit_four() -> None:
    model = build_model("egnet", backbone="resnet10", guidance="none", exposure="input")
    plain = build_model("egnet", backbone="resnet10", guidance="none", exposure="none")
    state = plain.state_dict()
    weights = {key.removeprefix("stem."): v for key, v in state.items() if key.startswith("stem.")}
    weights |= {key.replace("stage1.", "layer1."): v for key, v in state.items() if key.startswith("stage1.")}
    for i in range(3):
        prefix = f"segmentation_stages.{i}."
        weights |= {
            key.replace(prefix, f"layer{i + 2}."): v for key, v in state.items() if key.startswith(prefix)
        }
    model.load_backbone(weights)
    model.segmentation_head.load_state_dict(plain.segmentation_head.state_dict())
    image = torch.rand(1, 3, 64, 64)
    torch.testing.assert_close(model.eval()(image).logits, plain.eval()(image).logits)


@pytest.mark.parametrize(
    ("guidance", "exposure", "message"),
    [
        ("product", "stream", "known: attention, concat, sum, none"),
        ("attention", "depth", "known: stream, input, attention_map, none"),
        ("attention", "none", "only with none"),
        ("sum", "attention_map", "only with attention"),
    ],
)
def test_what_does_not_go_together(guidance: str, exposure: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build_model("egnet", backbone="resnet10", guidance=guidance, exposure=exposure)

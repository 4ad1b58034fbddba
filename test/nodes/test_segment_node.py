# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""segment_node over real rclpy, with a small real network."""

from __future__ import annotations

import array
import gc
import os
import signal
import subprocess
import sys
import threading
import time
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is missing: source ROS 2 or install .[ros]")

import rclpy
from helpers.node_bench import TIMEOUT, Recorder, bench, new_header, scene, until
from lifecycle_msgs.msg import State, Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rcl_interfaces.srv import GetParameters
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from safetensors.torch import load_file, save_file
from sensor_msgs.msg import CompressedImage, Image

from night_seg_ros.inference.segmenter import OUTPUTS, PendingSegmentations, Segmenter
from night_seg_ros.media.conversion import array_to_image, array_to_jpeg, compressed_to_bgr
from night_seg_ros.models import build_model
from night_seg_ros.models.checkpoint import save_checkpoint
from night_seg_ros.models.classes import CLASSES
from night_seg_ros.nodes import segment_node

__all__ = ["bench"]


def test_outputs_have_header_size_and_content_of_the_frame(bench, weights: Path) -> None:
    b = bench(weights=str(weights))
    b.until_active()
    b.listen("labels", "exposure", "confidence", "overlay", "overlay/compressed")
    reference = Segmenter(weights, device="cpu", precision="fp32")
    for height, width in [(121, 163), (96, 128), (33, 47), (3, 201)]:
        frame, header = scene(height, width), new_header()
        b.camera().publish(array_to_image(frame, "bgr8", header))
        expected = reference(frame, OUTPUTS)
        overlay = expected.overlay
        for name, pixels in [
            ("labels", expected.labels),
            ("exposure", expected.exposure),
            ("confidence", expected.confidence),
            ("overlay", overlay),
        ]:
            msg = b.answer(name, header)
            assert msg.header == header
            assert (msg.height, msg.width) == (height, width)
            assert msg.encoding == ("mono8" if pixels.ndim == 2 else "bgr8")
            assert bytes(msg.data) == pixels.tobytes(), name
        jpeg = b.answer("overlay/compressed", header)
        assert jpeg.header == header
        assert jpeg == array_to_jpeg(overlay, header, quality=80)
        assert compressed_to_bgr(jpeg).shape == frame.shape


def test_compressed_input(bench, weights: Path) -> None:
    b = bench(weights=str(weights), image_transport="compressed")
    b.until_active()
    b.listen("labels")
    header = new_header()
    camera = b.camera(CompressedImage, "image/compressed")
    corrupt = array_to_jpeg(scene(99, 101), new_header())
    corrupt.data = corrupt.data[: len(corrupt.data) // 2]
    camera.publish(corrupt)
    until(lambda: b.figures()["frames_rejected"] == "1", "the corrupt frame is counted")
    camera.publish(array_to_jpeg(scene(99, 101), header))
    assert (b.answer("labels", header).height, b.answer("labels", header).width) == (99, 101)
    assert b.logged("cut off")


def bad_images() -> dict[str, Image]:
    def image(**fields: Any) -> Image:
        msg = array_to_image(scene(40, 60), "bgr8", new_header())
        for name, value in fields.items():
            setattr(msg, name, value)
        return msg

    return {
        "data is truncated": image(data=array.array("B", bytes(100))),
        "step 179 is too small": image(step=179),
        "no pixels": image(width=0),
        "unknown encoding 'jpg9'": image(encoding="jpg9"),
        "needs an even size": image(encoding="yuv422", width=59),
    }


def test_bad_frames_are_counted_and_the_next_good_one_is_answered(bench, weights: Path) -> None:
    b = bench(weights=str(weights))
    b.until_active()
    b.listen("labels")
    for count, (reason, msg) in enumerate(bad_images().items(), start=1):
        b.camera().publish(msg)
        until(lambda count=count: b.figures()["frames_rejected"] == str(count), reason)
        assert reason in b.figures()["last_reject_reason"]
        header = new_header()
        b.camera().publish(array_to_image(scene(40, 60), "bgr8", header))
        b.answer("labels", header)
    figures = b.figures()
    assert figures["frames_in"] == "10"
    assert figures["frames_processed"] == "5"
    errors = b.logged("frame rejected")
    assert "[ERROR]" in errors[0]
    assert "(1 so far): data is truncated" in errors[0]
    assert len(errors) < 5  # throttled


@pytest.mark.parametrize("where", [(Segmenter, "submit"), (PendingSegmentations, "result")])
def test_a_failing_network_rejects_the_frame_only(bench, weights: Path, monkeypatch, where) -> None:
    b = bench(weights=str(weights))
    b.until_active()
    b.listen("labels")

    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("CUDA out of memory")

    with monkeypatch.context() as patch:
        patch.setattr(*where, fail)
        b.camera().publish(array_to_image(scene(40, 60), "bgr8", new_header()))
        until(lambda: b.logged("RuntimeError: CUDA out of memory"), "the error is logged")
    header = new_header()
    b.camera().publish(array_to_image(scene(40, 60), "bgr8", header))
    b.answer("labels", header)


def test_only_what_somebody_listens_to_is_computed(bench, weights: Path) -> None:
    b = bench(weights=str(weights))
    b.until_active()
    recorder = b.node._segmenter = Recorder(b.node._segmenter)
    b.camera().publish(array_to_image(scene(40, 60), "bgr8", new_header()))
    until(lambda: b.figures()["frames_processed"] == "1", "a frame without listeners")
    assert recorder.asked == []
    for output, needs in [
        ("exposure", {"exposure"}),
        ("overlay", {"exposure", "overlay"}),
        ("confidence", {"exposure", "overlay", "confidence"}),
    ]:
        b.listen(output)
        header = new_header()
        b.camera().publish(array_to_image(scene(40, 60), "bgr8", header))
        b.answer(output, header)
        assert recorder.asked[-1] == needs


def test_the_newest_frame_is_taken_and_the_others_count_as_dropped(bench, weights: Path) -> None:
    b = bench(weights=str(weights))
    b.until_active()
    b.listen("labels")
    recorder = b.node._segmenter = Recorder(b.node._segmenter)
    recorder.go.clear()
    headers = [new_header() for _ in range(5)]
    for count, header in enumerate(headers, start=1):
        b.camera().publish(array_to_image(scene(40, 60), "bgr8", header))
        until(lambda count=count: b.figures()["frames_in"] == str(count), "the frame came in")
    recorder.go.set()
    b.answer("labels", headers[-1])
    assert [msg.header.stamp for msg in b.received["labels"]] == [headers[0].stamp, headers[4].stamp]
    figures = until(lambda: (f := b.figures())["frames_processed"] == "2" and f, "both are processed")
    assert figures["frames_dropped"] == "3"


def test_diagnostics(bench, weights: Path) -> None:
    b = bench(weights=str(weights), diagnostics_period=1.0)
    b.until_active()
    b.listen("labels")
    frame = np.full((40, 60, 3), 128, np.uint8)
    frame[:10] = 255
    frame[10:30] = 0
    header = new_header()
    header.stamp = b.peer.get_clock().now().to_msg()
    b.camera().publish(array_to_image(frame, "bgr8", header))
    b.answer("labels", header)
    figures = b.figures()
    times = [entry.header.stamp.sec + entry.header.stamp.nanosec * 1e-9 for entry in b.diagnostics]
    assert figures["level"] == 0
    assert figures["model"] == "egnet"
    assert figures["weights"] == str(weights)
    assert figures["weights_hash"] == Segmenter(weights).weights_hash
    assert (figures["device"], figures["precision"]) == ("cpu", "fp32")
    assert figures["underexposed_share"] == "0.500"
    assert figures["overexposed_share"] == "0.250"
    assert float(figures["latency_p99_ms"]) >= float(figures["latency_median_ms"]) > 0
    assert float(figures["processing_median_ms"]) > 0
    assert abs(times[-1] - time.time()) < TIMEOUT
    status = b.diagnostics[-1].status[0]
    assert status.name == "/segment_node: segmentation"
    assert status.hardware_id == "/image"


def resident_mib() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def test_ten_round_trips_leave_no_memory_behind(bench, weights: Path) -> None:
    b = bench(weights=str(weights), autostart=False)
    assert b.state() == State.PRIMARY_STATE_UNCONFIGURED
    b.received["labels"] = []
    b.peer.create_subscription(Image, "/segment_node/labels", b.received["labels"].append, 10)
    frame = scene(240, 320)

    def round_trip() -> None:
        assert b.change(Transition.TRANSITION_CONFIGURE)
        model = weakref.ref(b.node._segmenter.network.network)
        assert b.change(Transition.TRANSITION_ACTIVATE)
        assert b.state() == State.PRIMARY_STATE_ACTIVE
        until(b.publisher("labels").get_subscription_count, "the listener is back")
        b.cameras.clear()
        camera, header = b.camera(), new_header()
        camera.publish(array_to_image(frame, "bgr8", header))
        b.answer("labels", header)
        b.peer.destroy_publisher(camera)
        b.received["labels"].clear()
        assert b.change(Transition.TRANSITION_DEACTIVATE)
        assert b.change(Transition.TRANSITION_CLEANUP)
        gc.collect()
        assert model() is None
        threads = [t.name for t in threading.enumerate()]
        assert threads.count("segment") == 1
        assert "publish" not in threads

    resident = []
    for _ in range(12):  # the first two let allocators and caches settle
        round_trip()
        resident.append(resident_mib())
    # A model lost in each trip makes each step as large as its file, an allocator one at most.
    steps = np.diff(resident[1:])
    assert np.median(steps) < 0.1 * weights.stat().st_size / 2**20, resident
    assert b.state() == State.PRIMARY_STATE_UNCONFIGURED


def with_tensor(weights: Path, path: Path, value: float) -> Path:
    from safetensors import safe_open

    with safe_open(weights, framework="pt") as file:
        metadata = file.metadata()
    tensors = load_file(weights)
    next(tensor for tensor in tensors.values() if tensor.is_floating_point()).fill_(value)
    save_file(tensors, path, metadata)
    return path


def test_a_failed_configure_says_why_and_can_be_repeated(bench, weights: Path, tmp_path: Path) -> None:
    few = tmp_path / "few.safetensors"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("night_seg_ros.models.checkpoint.CLASSES", CLASSES[:5])
        save_checkpoint(few, build_model("egnet", backbone="resnet10", num_classes=5), {})
    garbage = tmp_path / "garbage.safetensors"
    garbage.write_bytes(b"no checkpoint")
    b = bench(autostart=False, weights=str(tmp_path / "missing.safetensors"))
    for path, reason in [
        (tmp_path / "missing.safetensors", "no weights at"),
        (garbage, "not a readable safetensors file"),
        (with_tensor(weights, tmp_path / "nan.safetensors", float("nan")), "NaN"),
        (few, "5 classes"),
    ]:
        assert b.set(weights=str(path))[0].successful
        assert not b.change(Transition.TRANSITION_CONFIGURE)
        assert b.state() == State.PRIMARY_STATE_UNCONFIGURED
        entry = until(lambda reason=reason: b.logged(reason), reason)[-1]
        assert "[ERROR]" in entry
        assert "can't configure" in entry
        assert path.name in entry
        figures = b.figures()
        assert figures["level"] == 2
        assert reason in figures["message"]
    assert b.set(weights=str(weights))[0].successful
    assert b.change(Transition.TRANSITION_CONFIGURE)
    assert b.change(Transition.TRANSITION_ACTIVATE)
    assert b.state() == State.PRIMARY_STATE_ACTIVE
    assert b.figures()["level"] == 0


def test_services_answer_while_the_model_loads(bench, weights: Path, monkeypatch) -> None:
    loading, go = threading.Event(), threading.Event()

    def slow(*args: Any, **options: Any) -> Segmenter:
        loading.set()
        assert go.wait(TIMEOUT)
        return Segmenter(*args, **options)

    monkeypatch.setattr(segment_node, "Segmenter", slow)
    b = bench(weights=str(weights), autostart=False)
    request = ChangeState.Request(transition=Transition(id=Transition.TRANSITION_CONFIGURE))
    future = b.ask("change_state", request)
    assert loading.wait(TIMEOUT)
    assert b.state() == State.TRANSITION_STATE_CONFIGURING
    values = b.call("get_parameters", GetParameters.Request(names=["class_names"])).values
    assert list(values[0].string_array_value) == list(CLASSES)
    assert b.figures()["message"] == "not configured"
    assert not future.done()
    go.set()
    until(future.done, "configured")
    assert future.result().success


def test_without_weights_the_demonstration_ones_are_named_in_a_warning(
    bench, weights: Path, monkeypatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(segment_node, "demonstration_weights", lambda name: asked.append(name) or weights)
    b = bench()
    b.until_active()
    assert asked == ["egnet"]
    (entry,) = until(lambda: b.logged("no weights given"), "a warning")
    assert "[WARN]" in entry
    assert "not for driving" in entry


def test_parameters_refuse_what_they_do_not_know(bench) -> None:
    b = bench(autostart=False)
    results = b.set(image_transport="foo", overlay_alpha=2.0, class_names=["a"], jpeg_quality=0, device="cpu")
    assert [result.successful for result in results] == [False, False, False, False, True]
    assert results[0].reason == "image_transport is 'foo': give one of raw, compressed"


def test_floats_may_be_whole_numbers(bench, weights: Path) -> None:
    b = bench(weights=str(weights), batch_deadline=0, overlay_alpha=1, frame_timeout=30, diagnostics_period=1)
    b.until_active()
    b.listen("overlay")
    frame, header = scene(40, 60), new_header()
    b.camera().publish(array_to_image(frame, "bgr8", header))
    overlay = Segmenter(weights, device="cpu", precision="fp32")(frame, OUTPUTS, alpha=1.0).overlay
    assert bytes(b.answer("overlay", header).data) == overlay.tobytes()
    results = b.set(overlay_alpha=0, batch_deadline=True)
    assert [result.successful for result in results] == [True, False]
    assert results[1].reason == "batch_deadline is True: give a number from 0 to 1"
    assert "give a number" in b.set(overlay_alpha="half")[0].reason
    header = new_header()
    b.camera().publish(array_to_image(frame, "bgr8", header))
    assert bytes(b.answer("overlay", header).data) == frame.tobytes()
    (limits,) = b.node.describe_parameter("overlay_alpha").floating_point_range
    assert (limits.from_value, limits.to_value) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("overlay_alpha:=half", "overlay_alpha is 'half': give a number from 0 to 1"),
        ("diagnostics_period:=0", "diagnostics_period is 0: give a number from 0.1 to 3600"),
        ("jpeg_quality:=high", "jpeg_quality is 'high': give a whole number from 1 to 100"),
        ("jpeg_quality:=0", "jpeg_quality is 0: give a whole number from 1 to 100"),
        ("weights:=2024", "weights is 2024: give a text"),
    ],
)
def test_a_wrong_type_at_the_start_is_told(
    ros_domain: int, value: str, problem: str, capfd: pytest.CaptureFixture[str]
) -> None:
    handler = signal.getsignal(signal.SIGINT)
    try:
        assert segment_node.main(["--ros-args", "-p", value]) == 1
    finally:
        signal.signal(signal.SIGINT, handler)
    (said,) = capfd.readouterr().err.splitlines()
    assert "[FATAL]" in said
    assert problem in said


def test_a_size_that_gets_distorted_is_told_once(bench, tmp_path: Path) -> None:
    weights = tmp_path / "weights.safetensors"
    save_checkpoint(weights, build_model("egnet", backbone="resnet10"), {"input_size": [64, 128]})
    b = bench(weights=str(weights))
    b.until_active()
    b.listen("labels")
    for size in [(64, 128), (48, 64), (48, 64), (60, 60), (48, 64)]:
        header = new_header()
        b.camera().publish(array_to_image(scene(*size), "bgr8", header))
        b.answer("labels", header)
    warnings = b.logged("lose their shape: the network sees them at 128x64")
    assert [line.partition("frames of ")[2].split()[0] for line in warnings] == ["64x48", "60x60"]
    assert all("[WARN]" in line for line in warnings)


def test_openmp_is_told_to_wait_passively_before_it_is_loaded() -> None:
    code = """
import os, sys
class Finder:
    def find_spec(self, name, path, target=None):
        if name == "torch":
            print(os.environ.get("OMP_WAIT_POLICY"))
sys.meta_path.insert(0, Finder())
import night_seg_ros.nodes.segment_node
"""
    environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    command = [sys.executable, "-c", code]
    checkout = Path(__file__).parents[2]
    said = subprocess.run(command, env=environment, cwd=checkout, capture_output=True, text=True, check=True)
    assert said.stdout == "passive\n"


def test_a_misspelt_parameter_is_named(bench, weights: Path) -> None:
    overrides = {
        "weigths": "a.safetensors",
        "qos_overrides./image.subscription.depth": 2,
        "use_sim_time": False,
    }
    b = bench(weights=str(weights), speed=2.0, **overrides)
    b.until_active()
    (warning,) = b.logged("unknown parameter weigths")
    assert "did you mean weights?" in warning
    assert "known: model, weights" in b.logged("unknown parameter speed")[0]
    assert len(b.logged("unknown parameter")) == 2


def test_reliability_of_the_outputs(bench, weights: Path) -> None:
    b = bench(weights=str(weights), reliability="best_effort")
    b.until_active()
    (info,) = until(lambda: b.peer.get_publishers_info_by_topic("/segment_node/labels"), "labels are there")
    assert info.qos_profile.reliability.name == "BEST_EFFORT"


def test_a_frame_under_way_at_ctrl_c_holds_nothing_up(bench, weights: Path) -> None:
    b = bench(weights=str(weights))
    b.until_active()
    b.listen("labels")
    (camera,) = b.node._cameras
    convert, entered, go = camera._convert, threading.Event(), threading.Event()

    def slowly(message: Any) -> np.ndarray:
        entered.set()
        assert go.wait(TIMEOUT)
        return convert(message)

    camera._convert = slowly
    b.camera().publish(array_to_image(scene(40, 60), "bgr8", new_header()))
    assert entered.wait(TIMEOUT)
    b.contexts[1].shutdown()  # as rclpy does at Ctrl-C
    go.set()
    end = threading.Thread(target=b.node.destroy_node, daemon=True)
    end.start()
    end.join(TIMEOUT)
    assert not end.is_alive()
    assert not b.logged("frame rejected")


def test_the_program_survives_impossible_requests_and_ends_cleanly(ros_domain: int, weights: Path) -> None:
    command = [sys.executable, "-m", "night_seg_ros.nodes.segment_node", "--ros-args"]
    command += ["-p", f"weights:={weights}", "-p", "device:=cpu", "-r", "__ns:=/car"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=Path(__file__).parents[2]
    )
    context = Context()
    rclpy.init(context=context)
    peer = Node("peer", context=context)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(peer)
    try:
        client = peer.create_client(ChangeState, "/car/segment_node/change_state")
        assert client.wait_for_service(60)
        lines = []
        for line in process.stdout:
            lines.append(line)
            if "active: segmenting /car/image" in line:
                break
        client.call_async(ChangeState.Request(transition=Transition(id=Transition.TRANSITION_CONFIGURE)))
        for line in process.stdout:
            lines.append(line)
            if "a callback failed" in line:
                break
        get = peer.create_client(GetState, "/car/segment_node/get_state")
        assert get.wait_for_service(TIMEOUT)
        future = get.call_async(GetState.Request())
        executor.spin_until_future_complete(future, timeout_sec=TIMEOUT)
        assert future.result().current_state.id == State.PRIMARY_STATE_ACTIVE
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=TIMEOUT)
        assert process.returncode == 0, "".join(lines) + rest
        assert "Traceback" not in rest
    finally:
        process.kill()
        peer.destroy_node()
        context.shutdown()

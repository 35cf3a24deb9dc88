"""The node `segment`: callbacks store, one worker labels the newest scan, failures become diagnostics."""

from __future__ import annotations

import sys
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from message_filters import Subscriber
from rcl_interfaces.msg import SetParametersResult
from rclpy.clock import Clock, ClockType
from rclpy.executors import ExternalShutdownException
from rclpy.logging import get_logger
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile, qos_profile_sensor_data
from rclpy.qos_overriding_options import QoSOverridingOptions
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2
from std_msgs.msg import Float64, Header
from tf2_ros import TransformListener
from vision_msgs.msg import LabelInfo
from visualization_msgs.msg import MarkerArray

from clip2scene_core.camera_info import is_rectified
from clip2scene_core.config import InferenceConfig
from clip2scene_core.errors import Clip2SceneError, DataError
from clip2scene_core.inference import SemanticSegmenter, StageTimer
from clip2scene_core.pointcloud2 import DecodedCloud, decode
from clip2scene_core.types import LidarScan
from clip2scene_ros import parameters
from clip2scene_ros.conversions import label_info, labelled_cloud, legend, merged_cloud
from clip2scene_ros.core_log import CoreWarnings
from clip2scene_ros.diagnostics import ERROR, WARN, Diagnostics
from clip2scene_ros.framing import Framer
from clip2scene_ros.rewording import Rewording
from clip2scene_ros.synchronizer import Companions, LidarTriggeredSynchronizer
from clip2scene_ros.transforms import RestartableBuffer, Transforms
from clip2scene_ros.worker import NewestOnlyWorker

LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
RELIABLE = QoSProfile(depth=5)

_LOG_PERIOD_S = 5.0
"""A warning that repeats is logged at most this often; /diagnostics has them all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A scan with what other sensors saw, as it arrived."""

    cloud: PointCloud2
    images: dict[str, Any]
    others: dict[str, PointCloud2]
    """Of the LiDARs beside the main one."""
    arrived_s: float


class SegmentNode(Node):
    """Labels every point of LiDAR scans; `make_segmenter` builds the core from the node's parameters."""

    def __init__(
        self,
        make_segmenter: Callable[[InferenceConfig], SemanticSegmenter] | None = None,
        **node_options: Any,
    ) -> None:
        """Raises Clip2SceneError where a parameter or the checkpoint is unusable."""
        super().__init__("segment", **node_options)
        self._config, inference = parameters.declare(self)
        name = f"{self.get_name()}: labelling"
        self._diagnostics = Diagnostics(self._config.diagnostics, name=name)
        self._core_warnings = CoreWarnings(self._warn)
        try:
            self._rewording = Rewording(
                self,
                (make_segmenter or _from_checkpoint)(inference),
                self._config.classes,
                on_change=self._announce_classes,
                on_failure=self._warn,
            )
        except Clip2SceneError:
            self._core_warnings.close()
            raise
        self._input_topic = self.resolve_topic_name("~/input/points")
        self._legend_frame = self._config.fixed_frame
        self._advertise()
        self._announce_classes()
        self._worker = NewestOnlyWorker(
            self._label, on_drop=lambda job: self._diagnostics.dropped(), on_error=self._report_failure
        )
        buffer, timeout_s = RestartableBuffer(), self._config.tf_timeout_ms / 1e3
        self._listener = TransformListener(buffer, self)
        self._transforms = Transforms(buffer, timeout_s=timeout_s, stop=self._worker.stopping)
        self._framer = self._make_framer(inference.sweeps)
        self._subscribe()
        # On the steady clock, so that a simulation that stands still is reported too.
        self._timer = self.create_timer(
            self._config.diagnostics.period_s,
            self._publish_diagnostics,
            clock=Clock(clock_type=ClockType.STEADY_TIME),
        )
        self.add_on_set_parameters_callback(self._on_parameters)

    def destroy_node(self) -> None:
        """Stop the workers, then the node."""
        self._rewording.stop()
        self._worker.stop()
        self._core_warnings.close()
        super().destroy_node()

    def _make_framer(self, sweeps: int) -> Framer:
        config = self._config
        return Framer(
            self._transforms,
            fixed_frame=config.fixed_frame,
            cameras=config.cameras,
            rectified=self._rectified_cameras(),
            lidars=config.lidars,
            sweeps=sweeps,
            sweep_age_s=config.sweep_age_s,
            tolerance_s=config.tf_timeout_ms / 1e3,
        )

    def _rectified_cameras(self) -> list[str]:
        """Those that the parameter names, and those whose images come from a topic named as rectified."""
        named = self._config.rectified_cameras
        topics = {name: self.resolve_topic_name(self._image_topic(name)) for name in self._config.cameras}
        return [name for name, topic in topics.items() if name in named or is_rectified(topic)]

    def _image_topic(self, camera: str) -> str:
        suffix = "/compressed" if self._config.image_transport == "compressed" else ""
        return f"~/input/{camera}/image{suffix}"

    def _advertise(self) -> None:
        self._labelled = self.create_publisher(PointCloud2, "~/output/points", RELIABLE)
        self._label_info = self.create_publisher(LabelInfo, "~/output/label_info", LATCHED)
        self._legend = self.create_publisher(MarkerArray, "~/output/legend", LATCHED)
        self._latency = self.create_publisher(Float64, "~/debug/latency_ms", RELIABLE)
        self._status = self.create_publisher(DiagnosticArray, "/diagnostics", RELIABLE)

    def _subscribe(self) -> None:
        """Cameras first, so that images that came together with a scan are there when it triggers.

        Sensors publish best effort or reliably; best effort hears both, `qos_overrides` may change it.
        """
        options = {
            "qos_profile": qos_profile_sensor_data,
            "qos_overriding_options": QoSOverridingOptions.with_default_policies(),
        }
        kind = CompressedImage if self._config.image_transport == "compressed" else Image
        cameras = {}
        for name in self._config.cameras:
            info = Subscriber(self, CameraInfo, f"~/input/{name}/camera_info", **options)
            info.registerCallback(self._keep_camera_info, name)
            cameras[name] = Subscriber(self, kind, self._image_topic(name), **options)
        others = {
            name: Subscriber(self, PointCloud2, f"~/input/{name}/points", **options)
            for name in self._config.lidars
        }
        lidar = Subscriber(self, PointCloud2, "~/input/points", **options)
        self._synchronizer = LidarTriggeredSynchronizer(
            lidar,
            images=Companions(cameras, slop_ns=int(self._config.slop_ms * 1e6)),
            clouds=Companions(others, slop_ns=int(self._config.lidar_slop_ms * 1e6)),
        )
        self._synchronizer.registerCallback(self._on_scan)

    def _keep_camera_info(self, info: CameraInfo, camera: str) -> None:
        self._framer.keep_camera_info(camera, info)

    def _on_scan(self, cloud: PointCloud2, images: dict[str, Any], others: dict[str, PointCloud2]) -> None:
        self._diagnostics.arrived()
        if self._labelled.get_subscription_count():
            job = Job(cloud=cloud, images=images, others=others, arrived_s=time.monotonic())
            self._worker.submit(job)

    def _label(self, job: Job) -> None:
        """In the worker's thread: one scan from message to message."""
        stages, segmenter = StageTimer(), self._rewording.segmenter
        with stages("decode"):
            main = self._decode(job.cloud, self._input_topic)
            others, notes = self._decode_others(job.others)
        framed = self._framer.frame(main.scan, job.images, stages, others=others)
        for note in (*_emptiness(main.scan), *notes, *main.notes, *framed.notes):
            self._diagnostics.warned(note)
            self.get_logger().warning(note, throttle_duration_sec=_LOG_PERIOD_S)
        labels = segmenter.segment(framed.frame, stages)
        with stages("encode"):
            if self._config.lidars:
                scan, header = framed.frame.scan, job.cloud.header
                labelled = merged_cloud(header, scan, framed.lidar, labels, segmenter.label_set)
            else:
                labelled = labelled_cloud(job.cloud, main.points, labels, segmenter.label_set)
        with stages("publish"):
            self._labelled.publish(labelled)
        latency_ms = 1e3 * (time.monotonic() - job.arrived_s)
        self._latency.publish(Float64(data=latency_ms))
        self._diagnostics.published(latency_ms, stages.ms)
        self._move_legend(main.scan.frame_id)

    def _warn(self, note: str) -> None:
        """What comes once, while labelling goes on."""
        self._diagnostics.warned(note)
        self.get_logger().warning(note)

    def _decode(self, cloud: PointCloud2, topic: str) -> DecodedCloud:
        return decode(cloud, topic=topic, timed=self._config.deskew)

    def _decode_others(self, clouds: dict[str, PointCloud2]) -> tuple[dict[str, LidarScan], list[str]]:
        """The scans of the other LiDARs by name, and notes on what is odd about them."""
        scans, notes = {}, []
        for name, cloud in clouds.items():
            try:
                decoded = self._decode(cloud, f"LiDAR '{name}'")
            except DataError as error:
                notes.append(str(error))
                continue
            scans[name] = decoded.scan
            notes += decoded.notes
        return scans, notes

    def _report_failure(self, job: Job, error: Exception) -> None:
        """What the user can mend is a warning; the rest is a defect, logged with its traceback."""
        if not self.context.ok():
            return
        if isinstance(error, Clip2SceneError):
            self._diagnostics.withheld(WARN, str(error))
            self.get_logger().warning(f"nothing published: {error}", throttle_duration_sec=_LOG_PERIOD_S)
            return
        self._diagnostics.withheld(ERROR, f"{type(error).__name__}: {error}")
        trace = "".join(traceback.format_exception(error))
        self.get_logger().error(f"nothing published: {trace}", throttle_duration_sec=_LOG_PERIOD_S)

    def _publish_diagnostics(self) -> None:
        label_set = self._rewording.segmenter.label_set
        status = self._diagnostics.status(
            subscribed=self._labelled.get_subscription_count() > 0,
            details={
                "label set": label_set.name,
                "classes": ", ".join(label_set.names),
                "input": self._input_topic,
            },
        )
        now = self.get_clock().now().to_msg()
        self._status.publish(DiagnosticArray(header=Header(stamp=now), status=[status]))

    def _on_parameters(self, changes: list[Parameter]) -> SetParametersResult:
        """Only `classes` can get here with a new value; the others are read-only."""
        for change in changes:
            if change.name == "classes":
                try:
                    self._rewording.change(parameters.chosen(change.value))
                except Clip2SceneError as error:
                    return SetParametersResult(successful=False, reason=str(error))
        return SetParametersResult(successful=True)

    def _announce_classes(self) -> None:
        label_set = self._rewording.segmenter.label_set
        header = Header(stamp=self.get_clock().now().to_msg(), frame_id=self._legend_frame)
        self._label_info.publish(label_info(label_set, header))
        # Stamp zero tells RViz to use the newest transform, so that the legend moves with the sensor.
        self._legend.publish(legend(label_set, Header(frame_id=self._legend_frame)))

    def _move_legend(self, frame_id: str) -> None:
        if frame_id != self._legend_frame:
            self._legend_frame = frame_id
            self._announce_classes()


def _from_checkpoint(config: InferenceConfig) -> SemanticSegmenter:
    return SemanticSegmenter.from_checkpoint(config=config)


def _emptiness(scan: LidarScan) -> list[str]:
    if len(scan.xyz) == 0:
        return ["the cloud is empty: it has 0 points"]
    if not np.isfinite(scan.xyz).all(axis=1).any():
        return [f"none of the {len(scan.xyz)} points of the cloud is finite"]
    return []


def main(args: Sequence[str] | None = None) -> int:
    """Run the node until it is told to stop; returns the exit code."""
    rclpy.init(args=args)
    try:
        node = SegmentNode()
        with suppress(KeyboardInterrupt, ExternalShutdownException):
            rclpy.spin(node)
        node.destroy_node()
    except Clip2SceneError as error:
        get_logger("segment").fatal(str(error))
        return 1
    finally:
        rclpy.try_shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())

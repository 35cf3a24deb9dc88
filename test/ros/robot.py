"""The other side of the node `segment`: publishes what a robot's sensors do and collects what comes back."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import rclpy
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from geometry_msgs.msg import TransformStamped
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2, PointField
from sensor_msgs_py import point_cloud2
from std_msgs.msg import Float64, Header
from tf2_msgs.msg import TFMessage
from vision_msgs.msg import LabelInfo
from visualization_msgs.msg import MarkerArray

from clip2scene_ros.node import SegmentNode

WAIT_S = 30.0
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
FAST = {"diagnostics.period_s": 0.05, "tf_timeout_ms": 500.0}
"""Settings that keep the tests quick."""


def stamp(time_s: float) -> Time:
    sec, nanosec = divmod(round(time_s * 1e9), 1_000_000_000)
    return Time(sec=sec, nanosec=nanosec)


def header(time_s: float, frame_id: str) -> Header:
    return Header(stamp=stamp(time_s), frame_id=frame_id)


def cloud(*xyz: tuple[float, float, float], time_s: float = 100.0, frame_id: str = "lidar") -> PointCloud2:
    """A well-formed cloud; one point on the ground and one above where none are given."""
    points = np.array(xyz or [(5, 0, -1), (5, 0, 1)], np.float32)
    return point_cloud2.create_cloud_xyz32(header(time_s, frame_id), points)


def timed_cloud(
    *rows: tuple[float, float, float, float], time_s: float = 100.0, frame_id: str = "lidar"
) -> PointCloud2:
    """Of x, y, z and seconds after the stamp, as a Velodyne publishes them."""
    fields = [
        PointField(name=name, offset=4 * i, datatype=PointField.FLOAT32, count=1)
        for i, name in enumerate(("x", "y", "z", "time"))
    ]
    return point_cloud2.create_cloud(header(time_s, frame_id), fields, np.array(rows, np.float32))


def link(parent: str, child: str, *, x_m: float = 0.0, time_s: float = 0.0) -> TransformStamped:
    made = TransformStamped(header=header(time_s, parent), child_frame_id=child)
    made.transform.translation.x = float(x_m)  # rclpy takes the bits of an int for those of a float
    made.transform.rotation.w = 1.0
    return made


class Bench:
    """A node with a stand-in network and a robot in one graph, spinning in the background."""

    def __init__(
        self,
        segmenter: Any,
        parameters: dict[str, Any],
        *,
        subscribe: bool = True,
        cli_args: Sequence[str] = (),
    ) -> None:
        self.segmenter = segmenter
        self.context = Context()
        rclpy.init(context=self.context, signal_handler_options=SignalHandlerOptions.NO)
        overrides = [Parameter(name, value=value) for name, value in (FAST | parameters).items()]
        self.node = SegmentNode(
            lambda config: segmenter,
            context=self.context,
            parameter_overrides=overrides,
            cli_args=list(cli_args),
        )
        self.robot = Robot(self.context, self.node._config.cameras, self.node._config.lidars)
        if subscribe:
            self.robot.listen()
        self._executor = SingleThreadedExecutor(context=self.context)
        for node in (self.node, self.robot.node):
            self._executor.add_node(node)
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._spin, daemon=True)
        self._thread.start()
        self.robot.wait(lambda: self.robot.connected(), "discovery")

    def _spin(self) -> None:
        while not self._closing.is_set():
            self._executor.spin_once(timeout_sec=0.05)

    def close(self) -> None:
        self.segmenter.gate.set()
        self.segmenter.clip.set()
        self._closing.set()
        self._thread.join(WAIT_S)
        self._executor.shutdown()
        self.node.destroy_node()
        self.robot.node.destroy_node()
        rclpy.try_shutdown(context=self.context)

    def label(self, message: PointCloud2) -> np.ndarray:
        """Publish a cloud and return the points of its answer."""
        return point_cloud2.read_points(self.answer(message))

    def answer(self, message: PointCloud2) -> PointCloud2:
        """Publish a cloud and return the labelled one with its stamp."""
        count = len(self.robot.labelled)
        self.robot.points.publish(message)
        self.robot.wait(lambda: len(self.robot.labelled) > count, "a labelled cloud")
        assert self.robot.labelled[-1].header == message.header
        return self.robot.labelled[-1]

    def expect_problem(self, text: str) -> DiagnosticStatus:
        """Wait until a diagnostic says `text`, and return it."""
        return self.robot.wait(
            lambda: next((s for s in self.robot.statuses if text in s.message), None),
            lambda: f"'{text}' in a diagnostic; there were { ({s.message for s in self.robot.statuses}) }",
        )


class Robot:
    """Publishers of sensors, subscribers of results."""

    def __init__(self, context: Context, cameras: tuple[str, ...], lidars: tuple[str, ...] = ()) -> None:
        self.node = rclpy.create_node("robot", context=context)
        self.labelled: list[PointCloud2] = []
        self.statuses: list[DiagnosticStatus] = []
        self.latencies_ms: list[float] = []
        self.label_infos: list[LabelInfo] = []
        self.legends: list[MarkerArray] = []
        self._news = threading.Condition()
        make = self.node.create_publisher
        self.points = make(PointCloud2, "/segment/input/points", 10)
        self.others = {name: make(PointCloud2, f"/segment/input/{name}/points", 10) for name in lidars}
        self.tf = make(TFMessage, "/tf", 100)
        self.tf_static = make(TFMessage, "/tf_static", LATCHED)
        topics = {name: f"/segment/input/{name}" for name in cameras}
        self.images = {name: make(Image, f"{topic}/image", 10) for name, topic in topics.items()}
        self.compressed = {
            name: make(CompressedImage, f"{topic}/image/compressed", 10) for name, topic in topics.items()
        }
        self.infos = {name: make(CameraInfo, f"{topic}/camera_info", 10) for name, topic in topics.items()}
        self._subscribe(DiagnosticArray, "/diagnostics", lambda m: self.statuses.extend(m.status), 10)

    def listen(self) -> None:
        """Subscribe to everything that the node publishes."""
        self._subscribe(PointCloud2, "/segment/output/points", self.labelled.append, 10)
        self._subscribe(Float64, "/segment/debug/latency_ms", lambda m: self.latencies_ms.append(m.data), 10)
        self._subscribe(LabelInfo, "/segment/output/label_info", self.label_infos.append, LATCHED)
        self._subscribe(MarkerArray, "/segment/output/legend", self.legends.append, LATCHED)

    def _subscribe(self, kind: type, topic: str, keep: Callable[[Any], Any], qos: Any) -> None:
        def on_message(message: Any) -> None:
            with self._news:
                keep(message)
                self._news.notify_all()

        self.node.create_subscription(kind, topic, on_message, qos)

    def connected(self) -> bool:
        """Whether the node hears the sensors and the robot hears the node."""
        publishers = [self.points, self.tf, self.tf_static, *self.infos.values(), *self.others.values()]
        listeners = [self.node.count_publishers(s.topic_name) for s in self.node.subscriptions]
        return all(p.get_subscription_count() for p in publishers) and all(listeners) and bool(self.statuses)

    def wait(self, condition: Callable[[], Any], what: str | Callable[[], str]) -> Any:
        """The first true value of `condition`; fails after a bounded time."""
        deadline = time.monotonic() + WAIT_S
        with self._news:
            while not (value := condition()):
                if time.monotonic() > deadline:
                    raise AssertionError(f"waited in vain for {what if isinstance(what, str) else what()}")
                self._news.wait(0.02)
        return value

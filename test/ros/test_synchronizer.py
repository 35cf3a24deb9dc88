"""Each scan comes with the nearest image of every camera, at once, however the cameras behave."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

pytest.importorskip("message_filters", reason="ROS 2 is not installed")

from message_filters import SimpleFilter

from clip2scene_core.stamps import stamp_ns_of
from clip2scene_ros.synchronizer import Companions, LidarTriggeredSynchronizer

MS = 1_000_000


def message(time_ms: float) -> SimpleNamespace:
    sec, nanosec = divmod(round(time_ms * MS), 1_000_000_000)
    return SimpleNamespace(header=SimpleNamespace(stamp=SimpleNamespace(sec=sec, nanosec=nanosec)))


class Rig:
    """One LiDAR and another one, two cameras, and what came out."""

    def __init__(self, *, slop_ms: float = 50.0, depth: int = 10) -> None:
        self.lidar = SimpleFilter()
        self.cameras = {"front": SimpleFilter(), "rear": SimpleFilter()}
        self.left = SimpleFilter()
        self.synchronizer = LidarTriggeredSynchronizer(
            self.lidar,
            images=Companions(self.cameras, slop_ns=int(slop_ms * MS), depth=depth),
            clouds=Companions({"left": self.left}, slop_ns=100 * MS),
        )
        self.clouds: dict[str, float] = {}
        self.out: list[tuple[float, dict[str, float]]] = []
        self.synchronizer.registerCallback(self._keep)

    def _keep(self, scan, images, clouds) -> None:
        self.clouds = {name: stamp_ns_of(cloud) / MS for name, cloud in clouds.items()}
        self.out.append((stamp_ns_of(scan) / MS, {name: stamp_ns_of(i) / MS for name, i in images.items()}))

    def image(self, camera: str, time_ms: float) -> None:
        self.cameras[camera].signalMessage(message(time_ms))

    def scan(self, time_ms: float) -> tuple[float, dict[str, float]]:
        before = len(self.out)
        self.lidar.signalMessage(message(time_ms))
        assert len(self.out) == before + 1, "a scan must come out at once"
        return self.out[-1]


def test_the_nearest_image_is_taken_before_or_after_the_scan() -> None:
    rig = Rig()
    for time_ms in (5000, 5033, 5066, 5100):
        rig.image("front", time_ms)
    rig.image("rear", 5090)
    assert rig.scan(5050) == (5050, {"front": 5066, "rear": 5090})
    assert rig.scan(5049) == (5049, {"front": 5033, "rear": 5090})


def test_a_silent_camera_is_left_out() -> None:
    rig = Rig()
    assert rig.scan(5000) == (5000, {})
    rig.image("front", 5001)
    assert rig.scan(5002) == (5002, {"front": 5001})


def test_the_slop_is_inclusive_and_strict() -> None:
    rig = Rig(slop_ms=20)
    rig.image("front", 5000)
    assert rig.scan(5020) == (5020, {"front": 5000})
    assert rig.scan(5020.001) == (5020.001, {})


def test_late_images_out_of_order_count() -> None:
    rig = Rig()
    for time_ms in (5100, 5000):
        rig.image("front", time_ms)
    assert rig.scan(5010)[1] == {"front": 5000}


def test_only_the_last_images_are_kept() -> None:
    rig = Rig(depth=2)
    for time_ms in (5000, 5010, 5020):
        rig.image("front", time_ms)
    assert rig.scan(5000)[1] == {"front": 5010}


def test_time_that_jumps_back_needs_no_reset() -> None:
    rig = Rig()
    rig.image("front", 9000)
    assert rig.scan(9000)[1] == {"front": 9000}
    assert rig.scan(1000)[1] == {}
    rig.image("front", 1000)
    assert rig.scan(1000)[1] == {"front": 1000}


def test_another_lidar_has_a_slop_of_its_own_and_delays_nothing() -> None:
    rig = Rig(slop_ms=10.0)
    rig.scan(5000)
    assert rig.clouds == {}
    rig.left.signalMessage(message(5020))
    for time_ms, expected in ((5100, {"left": 5020}), (5121, {}), (5010, {"left": 5020})):
        assert rig.scan(time_ms) == (time_ms, {})
        assert rig.clouds == expected

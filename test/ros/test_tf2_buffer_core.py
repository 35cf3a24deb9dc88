"""tf2_py: the tree of frames against hand-computed poses, and its rules, errors and reports."""

from __future__ import annotations

import itertools
import math
import sys
import threading
import time as system

import numpy as np
import pytest
import tf2_py
import tf2_py._tf2_py
import yaml
from builtin_interfaces.msg import Duration as DurationMessage
from builtin_interfaces.msg import Time as TimeMessage
from geometry_msgs.msg import TransformStamped
from rclpy.duration import Duration
from rclpy.time import Time
from scipy.spatial.transform import Rotation
from tf2_py.frame_history import Link, MovingHistory
from tf2_py.rigid import Rigid
from tf_messages import X90, Z90, at, buffer_of, matrix, transform


class TestLookup:
    def test_a_direct_transform_comes_back_unchanged(self):
        sent = transform("foo", "bar", 3.25, (42.0, -3.14, 0.5), X90)
        for stamp in (at(3.25), at(3.25).to_msg(), at(0)):
            assert buffer_of(sent).lookup_transform_core("foo", "bar", stamp) == sent

    def test_hand_computed_example(self):
        """The sensor is 1 m ahead of a base that stands at (10, 0) and looks to the left."""
        buffer = buffer_of(
            transform("map", "base", 1, (10, 0, 0), Z90), transform("base", "sensor", 1, (1, 0, 0))
        )
        found = matrix(buffer.lookup_transform("map", "sensor", at(1)))
        np.testing.assert_allclose(found @ [2, 0, 0, 1], [10, 3, 0, 1], atol=1e-12)

    def test_nearly_equal_rotations_interpolate(self):
        tiny = Rotation.from_rotvec([0, 0, 1e-7]).as_quat()
        buffer = buffer_of(transform("a", "b", 1), transform("a", "b", 2, xyzw=tiny))
        turned = buffer.lookup_transform("a", "b", at(1.5)).transform.rotation
        assert turned.z == pytest.approx(0.25e-7, rel=1e-6)

    @pytest.mark.parametrize(
        ("sent", "found"),
        [
            ((0.6, 0, 0, -0.8), (-0.6, 0, 0, 0.8)),
            ((0, -0.96, 0, 0.28), (0, 0.96, 0, -0.28)),
            ((0, 0, 0, 1.004), (0, 0, 0, 1)),
        ],
    )
    def test_rotations_have_the_sign_and_length_of_one_made_from_a_matrix(self, sent, found):
        q = buffer_of(transform("a", "b", 1, xyzw=sent)).lookup_transform("a", "b", at(1)).transform.rotation
        np.testing.assert_allclose([q.x, q.y, q.z, q.w], found, atol=1e-12)

    def test_time_zero_is_the_newest_that_all_links_know(self):
        buffer = buffer_of(
            transform("map", "base", 1), transform("map", "base", 5, (4, 0, 0)),
            transform("base", "arm", 2), transform("base", "arm", 3, (0, 1, 0)),
        )  # fmt: skip
        found = buffer.lookup_transform("map", "arm", Time())
        assert found.header.stamp == at(3).to_msg()
        np.testing.assert_allclose(matrix(found)[:3, 3], [2, 1, 0])
        assert buffer.get_latest_common_time("map", "arm") == Time(seconds=3)

    def test_static_frames_hold_for_all_time_and_stay(self):
        buffer = buffer_of(transform("base", "lidar", 7, (0, 0, 2)), static=True)
        for seconds in (0.0, 1.0, 1e9):
            found = buffer.lookup_transform("base", "lidar", at(seconds))
            assert (found.transform.translation.z, found.header.stamp) == (2.0, at(seconds).to_msg())
        buffer.set_transform(transform("map", "base", 4), "test")
        assert buffer.get_latest_common_time("lidar", "map") == Time(seconds=4)
        buffer.clear()
        assert buffer.can_transform("base", "lidar", at(1))
        assert not buffer.can_transform("map", "base", Time())

    def test_a_frame_is_static_or_moves_as_it_was_told_last(self):
        buffer = buffer_of(transform("a", "b", 1, (1, 0, 0)), transform("a", "b", 2, (2, 0, 0)))
        buffer.set_transform_static(transform("a", "b", 0, (3, 0, 0)), "test")
        assert buffer.lookup_transform("a", "b", at(9)).transform.translation.x == 3.0
        buffer.set_transform(transform("a", "b", 1, (4, 0, 0)), "test")
        assert buffer.lookup_transform("a", "b", at(1)).transform.translation.x == 4.0
        assert not buffer.can_transform("a", "b", at(9))

    def test_a_frame_from_itself_is_the_identity_even_where_it_is_unknown(self):
        buffer = buffer_of(transform("map", "base", 4, (1, 2, 3)))
        for frame in ("base", "nowhere", ""):
            found = buffer.lookup_transform_core(frame, frame, at(9))
            np.testing.assert_array_equal(matrix(found), np.eye(4))
            assert found.header.stamp.sec == 9
            assert buffer.can_transform_core(frame, frame, at(9)) == (True, "")
        assert buffer.lookup_transform("base", "base", Time()).header.stamp.sec == 4
        assert buffer.lookup_transform("map", "map", Time()).header.stamp.sec == 0

    def test_between_two_times_by_a_fixed_frame(self):
        buffer = buffer_of(
            *(transform("odom", "base", seconds, (2 * seconds, 0, 0)) for seconds in (1, 2, 3))
        )
        found = buffer.lookup_transform_full_core(
            target_frame="base", target_time=at(3), source_frame="base", source_time=at(1), fixed_frame="odom"
        )
        np.testing.assert_allclose(matrix(found)[:3, 3], [-4, 0, 0])
        assert (found.header.stamp.sec, found.header.frame_id, found.child_frame_id) == (3, "base", "base")
        assert buffer.can_transform_full_core("base", at(3), "base", at(1), "odom") == (True, "")

    def test_a_new_parent_counts_from_its_own_time(self):
        buffer = buffer_of(
            transform("a", "x", 1, (1, 0, 0)), transform("b", "x", 2, (2, 0, 0)), transform("a", "b", 1)
        )
        assert buffer.lookup_transform("a", "x", at(1.5)).transform.translation.x == 1.0
        assert buffer.lookup_transform("b", "x", at(2)).transform.translation.x == 2.0
        buffer.set_transform(transform("b", "x", 3, (3, 0, 0)), "test")
        assert buffer.lookup_transform("b", "x", at(2)).transform.translation.x == 2.0
        with pytest.raises(tf2_py.ConnectivityException):
            buffer_of(transform("a", "x", 1), transform("b", "x", 3)).lookup_transform("b", "x", at(2))

    @pytest.mark.parametrize("others", [(), (1, 3)])
    def test_of_two_with_the_same_stamp_the_later_wins(self, others):
        buffer = buffer_of(*(transform("a", "b", seconds, (seconds, 0, 0)) for seconds in others))
        for x in (5, 7):
            buffer.set_transform(transform("a", "b", 2, (x, 0, 0)), "test")
        assert buffer.lookup_transform("a", "b", at(2)).transform.translation.x == 7.0

    def test_inside_a_loop_a_frame_above_is_reached(self):
        buffer = buffer_of(transform("a", "b", 1), transform("b", "c", 1, (1, 0, 0)), transform("c", "a", 1))
        assert buffer.lookup_transform("b", "c", at(1)).transform.translation.x == 1.0
        assert buffer.lookup_transform("b", "c", Time()).transform.translation.x == 1.0

    def test_leading_slashes_of_messages_are_dropped(self):
        assert buffer_of(transform("/a", "/b", 1)).can_transform("a", "b", at(1))

    def test_stamps_before_the_epoch_are_times_like_others(self):
        early = TransformStamped(child_frame_id="b")
        early.header.frame_id = "a"
        early.header.stamp = TimeMessage(sec=-2, nanosec=500_000_000)
        buffer = buffer_of(early, transform("a", "b", 1))
        found = buffer.lookup_transform("a", "b", early.header.stamp)
        assert found.header.stamp == early.header.stamp

    def test_long_chains_up_to_the_limit(self):
        chain = [transform(f"f{i}", f"f{i + 1}", 1, (1, 0, 0)) for i in range(1001)]
        buffer = buffer_of(*chain)
        assert buffer.lookup_transform("f0", "f1000", at(1)).transform.translation.x == 1000.0
        with pytest.raises(tf2_py.LookupException, match="loop"):
            buffer.lookup_transform("f0", "f1001", at(1))


class TestCacheTime:
    @pytest.mark.parametrize(
        ("cache_time", "length"),
        [((), 10), ((Duration(seconds=2),), 2), ((DurationMessage(sec=1, nanosec=500_000_000),), 1.5)],
    )
    def test_an_insertion_drops_what_is_older_than_that_before_the_newest_there_was(self, cache_time, length):
        buffer = tf2_py.BufferCore(*cache_time)
        for half_seconds in range(2, 31):
            buffer.set_transform(transform("a", "b", half_seconds / 2), "test")
        oldest = 14.5 - length
        assert buffer.can_transform_core("a", "b", at(oldest))[0]
        assert not buffer.can_transform_core("a", "b", at(oldest - 0.001))[0]

    def test_late_transforms_are_sorted_in_and_too_late_ones_refused(self):
        buffer = buffer_of(*(transform("a", "b", seconds) for seconds in (20, 15, 10, 9.999)))
        assert buffer.can_transform("a", "b", at(10))
        assert not buffer.can_transform("a", "b", at(9.999))

    def test_cache_time_has_to_be_a_duration(self):
        with pytest.raises(TypeError, match="duration must have sec and nanosec, or nanoseconds"):
            tf2_py.BufferCore(10.0)

    def test_a_hundred_thousand_transforms_are_looked_up_by_bisection(self):
        history = MovingHistory(cache_ns=30_000)
        start_s = system.thread_time()
        for stamp_ns in range(1, 100_001):
            assert history.insert(Link(stamp_ns, "a", Rigid((float(stamp_ns), 0.0, 0.0))))
        assert history.span == (69_999, 100_000, 30_002)
        assert len(history._links) < 2 * history.span.count
        for stamp_ns in range(70_000, 100_000, 30):
            assert history.at(stamp_ns).parent_from_child.translation[0] == stamp_ns
        assert (
            system.thread_time() - start_s < 10.0
        )  # a tenth is enough; a scan for each lookup takes far more


class TestErrors:
    buffer = buffer_of(
        transform("map", "base", 1), transform("map", "base", 2), transform("moon", "rover", 1),
        transform("base", "arm", 1.5),
    )  # fmt: skip

    @pytest.mark.parametrize(
        ("target", "source", "seconds", "kind", "text"),
        [
            (
                "", "base", 1, "InvalidArgument",
                'Invalid argument "" passed to lookupTransform argument target_frame - '
                "in tf2 frame_ids cannot be empty",
            ),
            (
                "map", "/base", 1, "InvalidArgument",
                'Invalid argument "/base" passed to lookupTransform argument source_frame - '
                "in tf2 frame_ids cannot start with a '/'",
            ),
            ("mars", "base", 1, "Lookup", '"mars" passed to lookupTransform argument target_frame does not'),
            ("map", "venus", 0, "Lookup", '"venus" passed to lookupTransform argument source_frame'),
            ("map", "rover", 1, "Connectivity", "connection between 'map' and 'rover'"),
            ("map", "rover", 0, "Connectivity", "not part of the same tree"),
            (
                "map", "base", 3.5, "Extrapolation",
                "Lookup would require extrapolation into the future.  Requested time 3.500000 but the latest "
                "data is at time 2.000000, when looking up transform from frame [base] to frame [map]",
            ),
            (
                "base", "map", 0.25, "Extrapolation",
                "Lookup would require extrapolation into the past.  Requested time 0.250000 but the earliest "
                "data is at time 1.000000, when looking up transform from frame [map] to frame [base]",
            ),
            (
                "base", "arm", 1.6, "Extrapolation",
                "Lookup would require extrapolation at time 1.600000, but only time 1.500000 is in the "
                "buffer",
            ),
        ],
    )  # fmt: skip
    def test_kind_and_text(self, target, source, seconds, kind, text):
        with pytest.raises(tf2_py.TransformException) as caught:
            self.buffer.lookup_transform_core(target, source, at(seconds))
        assert type(caught.value) is getattr(tf2_py, f"{kind}Exception")
        assert text in str(caught.value)
        possible, reason = self.buffer.can_transform_core(target, source, at(seconds))
        assert not possible and reason

    @pytest.mark.parametrize(
        ("frame", "why"),
        [
            ("mars", "frame does not exist"),
            ("", "in tf2 frame_ids cannot be empty"),
            ("/map", "in tf2 frame_ids cannot start with a '/'"),
        ],
    )
    def test_can_transform_says_what_is_wrong_with_a_name(self, frame, why):
        for argument, query in (
            ("target_frame", (frame, at(1), "base", at(1), "map")),
            ("source_frame", ("base", at(1), frame, at(1), "map")),
            ("fixed_frame", ("base", at(1), "base", at(1), frame)),
        ):
            text = f'Invalid frame ID "{frame}" passed to canTransform argument {argument} - {why}'
            assert self.buffer.can_transform_full_core(*query) == (False, text)
        text = f'Invalid frame ID "{frame}" passed to canTransform argument source_frame - {why}'
        assert self.buffer.can_transform_core("map", frame, at(1)) == (False, text)

    def test_the_advanced_lookup_requires_all_three_frames_and_both_times(self):
        with pytest.raises(tf2_py.LookupException, match='"mars" passed to lookupTransform argument fixed'):
            self.buffer.lookup_transform_full_core("base", at(1), "base", at(1), "mars")
        possible, reason = self.buffer.can_transform_full_core("base", at(4), "base", at(0.5), "map")
        assert not possible and "Requested time 4.000000" in reason
        with pytest.raises(tf2_py.ExtrapolationException, match=r"Requested time 0\.500000"):
            self.buffer.lookup_transform_full_core("base", at(4), "base", at(0.5), "map")

    def test_the_latest_common_time_needs_known_and_connected_frames(self):
        with pytest.raises(tf2_py.LookupException, match='"mars" passed to get_latest_common_time'):
            self.buffer.get_latest_common_time("mars", "mars")
        with pytest.raises(tf2_py.TransformException, match="not part of the same tree") as caught:
            self.buffer.get_latest_common_time("map", "rover")
        assert type(caught.value) is tf2_py.TransformException

    def test_what_lies_above_the_common_ancestor_does_not_matter(self):
        buffer = buffer_of(transform("map", "base", 1), transform("base", "a", 5), transform("base", "b", 5))
        assert buffer.can_transform("a", "b", at(5))

    def test_after_clear_nothing_is_known_but_names(self):
        buffer = buffer_of(transform("map", "base", 1))
        buffer.clear()
        with pytest.raises(tf2_py.ConnectivityException):
            buffer.lookup_transform("map", "base", Time())
        with pytest.raises(tf2_py.ExtrapolationException, match=r"from frame \[base\] to frame \[map\]"):
            buffer.lookup_transform("map", "base", at(1))
        assert buffer.all_frames_as_string() == "Frame base exists with parent NO_PARENT.\n"
        assert buffer.all_frames_as_yaml() == ""
        buffer.set_transform(transform("map", "base", 0.5), "test")
        assert buffer.can_transform("map", "base", at(0.5))

    @pytest.mark.parametrize("seconds", [0, 1])
    def test_a_loop_is_an_error_that_shows_the_tree(self, seconds):
        buffer = buffer_of(transform("a", "b", 1), transform("b", "c", 1), transform("c", "a", 1))
        buffer.set_transform(transform("x", "y", 1), "test")
        with pytest.raises(tf2_py.LookupException) as caught:
            buffer.lookup_transform("y", "a", at(seconds))
        assert str(caught.value).startswith("The tf tree is invalid because it contains a loop.\n")
        assert "Frame c exists with parent b.\n" in str(caught.value)

    @pytest.mark.parametrize(
        "senseless",
        [
            transform("a", "a", 1), transform("", "b", 1), transform("a", "", 1),
            transform("a", "b", 1, (math.nan, 0, 0)), transform("a", "b", 1, xyzw=(0, 0, math.nan, 1)),
            transform("a", "b", 1, xyzw=(0, 0, 0, 0)), transform("a", "b", 1, xyzw=(0, 0, 0, 1.006)),
            transform("a", "b", 1, xyzw=(0, 0, 0, math.inf)),
        ],
    )  # fmt: skip
    def test_senseless_transforms_are_ignored(self, senseless):
        buffer = tf2_py.BufferCore()
        assert buffer.set_transform(senseless, "test") is None
        assert buffer.set_transform_static(senseless, "test") is None
        assert buffer._getFrameStrings() == []

    def test_a_time_has_to_be_a_time(self):
        with pytest.raises(TypeError, match="time must have sec and nanosec, or nanoseconds"):
            self.buffer.lookup_transform_core("map", "base", 1.5)


class TestVelocity:
    def test_of_a_frame_on_a_straight_line(self):
        buffer = buffer_of(*(transform("map", "base", seconds, (3 * seconds, 0, 0)) for seconds in range(5)))
        linear, angular = buffer.lookupVelocityCore("base", "map", Time(), Duration(seconds=2))
        np.testing.assert_allclose([linear, angular], [[3, 0, 0], [0, 0, 0]], atol=1e-9)

    def test_of_a_point_on_a_turning_frame(self):
        """0.5 rad/s about z; a point 2 m from the axis moves at 1 m/s across its arm."""
        buffer = buffer_of(
            *(
                transform("map", "base", s, xyzw=Rotation.from_euler("z", 0.5 * s).as_quat())
                for s in np.arange(1, 3, 0.01)
            )
        )
        linear, angular = buffer.lookupVelocityFullCore(
            "base", "map", "map", (2.0, 0.0, 0.0), "base", at(2), Duration(seconds=0.02)
        )
        np.testing.assert_allclose(angular, [0, 0, 0.5], atol=1e-6)
        np.testing.assert_allclose(linear, [-math.sin(1.0), math.cos(1.0), 0], atol=1e-6)

    def test_static_frames_stand_still_and_unknown_ones_are_refused(self):
        buffer = buffer_of(transform("base", "lidar", xyz=(1, 0, 0)), static=True)
        linear, angular = buffer.lookupVelocityCore("lidar", "base", at(5), DurationMessage(sec=1))
        np.testing.assert_array_equal([linear, angular], np.zeros((2, 3)))
        with pytest.raises(tf2_py.LookupException, match="mars"):
            buffer.lookupVelocityCore("lidar", "mars", at(5), Duration(seconds=1))


class TestTelling:
    @pytest.fixture
    def buffer(self) -> tf2_py.BufferCore:
        buffer = buffer_of(transform("map", "base", 1), transform("map", "base", 3))
        buffer.set_transform(transform("map", "base", 2), "late")
        buffer.set_transform_static(transform("base", "lidar"), "calibration")
        return buffer

    def test_yaml(self, buffer):
        assert yaml.safe_load(buffer.all_frames_as_yaml()) == {
            "base": {
                "parent": "map", "broadcaster": "late", "rate": 1.5, "most_recent_transform": 3.0,
                "oldest_transform": 1.0, "buffer_length": 2.0,
            },
            "lidar": {
                "parent": "base", "broadcaster": "calibration", "rate": 10000.0,
                "most_recent_transform": 0.0, "oldest_transform": 0.0, "buffer_length": 0.0,
            },
        }  # fmt: skip
        assert tf2_py.BufferCore().all_frames_as_yaml() == "[]"

    def test_the_same_transform_again_counts_once(self, buffer):
        before = buffer.all_frames_as_yaml()
        buffer.set_transform(transform("map", "base", 2), "late")
        assert buffer.all_frames_as_yaml() == before

    def test_string(self, buffer):
        assert buffer.all_frames_as_string().splitlines() == [
            "Frame base exists with parent map.", "Frame lidar exists with parent base.",
        ]  # fmt: skip
        assert tf2_py.BufferCore().all_frames_as_string() == ""

    def test_graph(self, buffer):
        graph = buffer._allFramesAsDot(at(5))
        assert graph.startswith("digraph G {") and graph.endswith("}")
        assert '"map" -> "base"[label="Broadcaster: late' in graph and "( 2.000 sec old)" in graph
        assert "sec old" not in buffer._allFramesAsDot()

    def test_names(self, buffer):
        assert buffer._getFrameStrings() == ["base", "map", "lidar"]
        assert buffer._frameExists("map") and not buffer._frameExists("mars")

    def test_chain_takes_no_way_there_and_back(self, buffer):
        buffer.set_transform_static(transform("base", "camera"), "calibration")
        assert buffer._chain("camera", at(2), "lidar", at(2), "map") == ["lidar", "base", "camera"]
        assert buffer._chain("map", at(2), "lidar", at(2), "map") == ["lidar", "base", "map"]
        assert buffer._chain("lidar", at(2), "map", at(2), "camera") == ["map", "base", "lidar"]
        assert buffer._chain("base", at(2), "base", at(2), "map") == ["base"]
        with pytest.raises(tf2_py.ExtrapolationException):
            buffer._chain("map", at(9), "lidar", at(9), "map")

    def test_the_distributions_inner_module_has_the_same_names(self):
        assert tf2_py._tf2_py.BufferCore is tf2_py.BufferCore
        assert tf2_py._tf2_py.LookupException is tf2_py.LookupException


def test_several_threads_see_whole_transforms_only():
    """The tool always stands where the base started: what one link gains the other loses."""
    buffer = buffer_of(transform("map", "base", 0.001), transform("base", "tool", 0.001))
    stop = threading.Event()
    failures: list[object] = []

    def write() -> None:
        for step in itertools.count(2):
            x_m = step * 0.5
            buffer.set_transform(transform("map", "base", step / 1000, (x_m, 0, 0)), "test")
            buffer.set_transform(transform("base", "tool", step / 1000, (-x_m, 0, 0)), "test")
            buffer.set_transform_static(transform("tool", f"tip{step}"), "test")
            if stop.is_set():
                return

    def read() -> None:
        while not stop.is_set():
            found = buffer.lookup_transform("map", "tool", Time())
            if abs(found.transform.translation.x) > 1e-9 or not buffer.can_transform("map", "tool", Time()):
                failures.append(found)
            buffer.all_frames_as_yaml()

    def run(work) -> None:
        try:
            work()
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(work,), daemon=True) for work in (write, read, read)]
    interval_s = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        stop.wait(0.3)
        stop.set()
        for thread in threads:
            thread.join(30.0)
    finally:
        sys.setswitchinterval(interval_s)
    assert failures == []
    assert not any(thread.is_alive() for thread in threads)

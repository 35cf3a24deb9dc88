"""tf2: the tree of frames against matrices and SciPy, its errors, and its topics."""

from __future__ import annotations

import math
import threading
import time as system

import numpy as np
import pytest
import rclpy
import tf2_py
import tf2_ros
import yaml
from builtin_interfaces.msg import Time as TimeMessage
from geometry_msgs.msg import PointStamped, TransformStamped
from rclpy.duration import Duration
from rclpy.executors import MultiThreadedExecutor, SingleThreadedExecutor
from rclpy.time import Time
from scipy.spatial.transform import Rotation, Slerp
from std_msgs.msg import Header
from tf2_msgs.msg import TFMessage
from tf2_msgs.srv import FrameGraph

X90 = (math.sqrt(0.5), 0.0, 0.0, math.sqrt(0.5))
Z90 = (0.0, 0.0, math.sqrt(0.5), math.sqrt(0.5))


def transform(parent, child, seconds=0.0, xyz=(0.0, 0.0, 0.0), xyzw=(0.0, 0.0, 0.0, 1.0)) -> TransformStamped:
    message = TransformStamped(header=Header(frame_id=parent, stamp=Time(seconds=seconds).to_msg()))
    message.child_frame_id = child
    t, q = message.transform.translation, message.transform.rotation
    t.x, t.y, t.z = map(float, xyz)
    q.x, q.y, q.z, q.w = map(float, xyzw)
    return message


def matrix(message: TransformStamped) -> np.ndarray:
    t, q = message.transform.translation, message.transform.rotation
    result = np.eye(4)
    result[:3, :3] = Rotation.from_quat([q.x, q.y, q.z, q.w]).as_matrix()
    result[:3, 3] = t.x, t.y, t.z
    return result


def buffer_of(*transforms: TransformStamped, static: bool = False, **kwargs) -> tf2_ros.Buffer:
    buffer = tf2_ros.Buffer(**kwargs)
    for message in transforms:
        (buffer.set_transform_static if static else buffer.set_transform)(message, "test")
    return buffer


def at(seconds: float) -> Time:
    return Time(nanoseconds=round(seconds * 1e9))


class TestLookup:
    def test_a_direct_transform_comes_back_unchanged(self):
        sent = transform("foo", "bar", 3.25, (42.0, -3.14, 0.5), X90)
        for stamp in (at(3.25), at(3.25).to_msg(), at(0)):
            assert buffer_of(sent).lookup_transform("foo", "bar", stamp) == sent

    def test_hand_computed_example(self):
        """The sensor is 1 m ahead of a base that stands at (10, 0) and looks to the left."""
        buffer = buffer_of(
            transform("map", "base", 1, (10, 0, 0), Z90), transform("base", "sensor", 1, (1, 0, 0))
        )
        found = matrix(buffer.lookup_transform("map", "sensor", at(1)))
        np.testing.assert_allclose(found @ [2, 0, 0, 1], [10, 3, 0, 1], atol=1e-12)

    def test_random_trees_agree_with_products_of_matrices(self):
        random = np.random.default_rng(0)
        parents = {child: int(random.integers(child)) for child in range(1, 12)}
        links, world_from = {}, {0: np.eye(4)}
        for child, parent in parents.items():
            rotation = Rotation.random(random_state=random)
            links[child] = transform(f"f{parent}", f"f{child}", 1, random.normal(size=3), rotation.as_quat())
            world_from[child] = world_from[parent] @ matrix(links[child])
        buffer = buffer_of(*links.values())
        for target in range(12):
            for source in range(12):
                found = matrix(buffer.lookup_transform(f"f{target}", f"f{source}", at(1)))
                np.testing.assert_allclose(
                    found, np.linalg.inv(world_from[target]) @ world_from[source], atol=1e-12
                )

    def test_interpolation_agrees_with_scipy(self):
        random = np.random.default_rng(1)
        times = np.array([1.0, 1.3, 2.0, 2.1])
        rotations = Rotation.random(4, random_state=random)
        signs = np.array([1, -1, -1, 1])  # the same rotations: the shorter way has to be found
        translations = random.normal(size=(4, 3))
        buffer = buffer_of(
            *(
                transform("map", "base", seconds, xyz, sign * rotation.as_quat())
                for seconds, xyz, rotation, sign in zip(times, translations, rotations, signs, strict=True)
            )
        )
        slerp = Slerp(times, rotations)
        for seconds in np.linspace(1.0, 2.1, 45):
            found = matrix(buffer.lookup_transform("map", "base", at(seconds)))
            np.testing.assert_allclose(found[:3, :3], slerp(seconds).as_matrix(), atol=1e-8)
            expected = [np.interp(seconds, times, translations[:, axis]) for axis in range(3)]
            np.testing.assert_allclose(found[:3, 3], expected, atol=1e-8)

    def test_nearly_equal_rotations_interpolate(self):
        tiny = Rotation.from_rotvec([0, 0, 1e-7]).as_quat()
        buffer = buffer_of(transform("a", "b", 1), transform("a", "b", 2, xyzw=tiny))
        turned = buffer.lookup_transform("a", "b", at(1.5)).transform.rotation
        assert turned.z == pytest.approx(0.25e-7, rel=1e-6)

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

    def test_a_frame_from_itself_is_the_identity(self):
        buffer = buffer_of(transform("map", "base", 4, (1, 2, 3)))
        np.testing.assert_array_equal(matrix(buffer.lookup_transform("base", "base", at(9))), np.eye(4))
        assert buffer.lookup_transform("base", "base", Time()).header.stamp.sec == 4

    def test_between_two_times_by_a_fixed_frame(self):
        buffer = buffer_of(
            *(transform("odom", "base", seconds, (2 * seconds, 0, 0)) for seconds in (1, 2, 3))
        )
        found = buffer.lookup_transform_full(
            target_frame="base", target_time=at(3), source_frame="base", source_time=at(1), fixed_frame="odom"
        )
        np.testing.assert_allclose(matrix(found)[:3, 3], [-4, 0, 0])
        assert (found.header.stamp.sec, found.header.frame_id, found.child_frame_id) == (3, "base", "base")
        assert buffer.can_transform_full("base", at(3), "base", at(1), "odom")
        assert not buffer.can_transform_full("base", at(4), "base", at(1), "odom")

    def test_a_new_parent_counts_from_its_own_time(self):
        buffer = buffer_of(
            transform("a", "x", 1, (1, 0, 0)), transform("b", "x", 2, (2, 0, 0)), transform("a", "b", 1)
        )
        assert buffer.lookup_transform("a", "x", at(1.5)).transform.translation.x == 1.0
        assert buffer.lookup_transform("b", "x", at(2)).transform.translation.x == 2.0

    def test_the_same_stamp_again_replaces(self):
        buffer = buffer_of(transform("a", "b", 1, (1, 0, 0)), transform("a", "b", 1, (2, 0, 0)))
        assert buffer.lookup_transform("a", "b", at(1)).transform.translation.x == 2.0

    def test_leading_slashes_of_messages_are_dropped(self):
        assert buffer_of(transform("/a", "/b", 1)).can_transform("a", "b", at(1))


class TestCacheTime:
    def test_ten_seconds_by_default(self):
        buffer = buffer_of(*(transform("a", "b", seconds) for seconds in range(1, 15)))
        assert buffer.can_transform("a", "b", at(4)) and not buffer.can_transform("a", "b", at(3.9))

    def test_as_long_as_asked_for(self):
        buffer = buffer_of(
            *(transform("a", "b", seconds) for seconds in range(1, 15)), cache_time=Duration(seconds=2)
        )
        assert buffer.can_transform("a", "b", at(12)) and not buffer.can_transform("a", "b", at(11.9))

    def test_late_transforms_are_sorted_in_and_too_late_ones_refused(self):
        buffer = buffer_of(transform("a", "b", 20), transform("a", "b", 15), transform("a", "b", 9))
        assert buffer.can_transform("a", "b", at(17))
        assert not buffer.can_transform("a", "b", at(14))


class TestErrors:
    buffer = buffer_of(
        transform("map", "base", 1), transform("map", "base", 2), transform("moon", "rover", 1),
        transform("base", "arm", 1.5),
    )  # fmt: skip

    @pytest.mark.parametrize(
        ("target", "source", "seconds", "kind", "text"),
        [
            ("", "base", 1, "InvalidArgument", "target_frame in tf2 frame_ids cannot be empty"),
            ("map", "/base", 1, "InvalidArgument", '"/base" passed to lookupTransform argument'),
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
        with pytest.raises(getattr(tf2_ros, f"{kind}Exception")) as caught:
            self.buffer.lookup_transform(target, source, at(seconds))
        assert text in str(caught.value)
        assert isinstance(caught.value, tf2_ros.TransformException)
        assert type(caught.value) is getattr(tf2_py, f"{kind}Exception")
        possible, reason = self.buffer.can_transform(target, source, at(seconds), return_debug_tuple=True)
        assert not possible and reason

    def test_can_transform_names_the_missing_frame(self):
        expected = (
            'Invalid frame ID "mars" passed to canTransform argument target_frame - frame does not exist'
        )
        assert self.buffer.can_transform_core("mars", "base", at(1)) == (False, expected)

    def test_what_lies_above_the_common_ancestor_does_not_matter(self):
        buffer = buffer_of(transform("map", "base", 1), transform("base", "a", 5), transform("base", "b", 5))
        assert buffer.can_transform("a", "b", at(5))

    def test_a_loop_is_an_error(self):
        buffer = buffer_of(transform("a", "b", 1), transform("b", "c", 1), transform("c", "a", 1))
        buffer.set_transform(transform("x", "y", 1), "test")
        with pytest.raises(tf2_ros.LookupException, match="loop"):
            buffer.lookup_transform("y", "a", at(1))

    @pytest.mark.parametrize(
        "senseless",
        [
            transform("a", "a", 1), transform("", "b", 1), transform("a", "", 1),
            transform("a", "b", 1, (math.nan, 0, 0)), transform("a", "b", 1, xyzw=(0, 0, 0, 0)),
            transform("a", "b", 1, xyzw=(0, 0, 0, 1.1)),
        ],
    )  # fmt: skip
    def test_senseless_transforms_are_ignored(self, senseless):
        buffer = buffer_of(senseless)
        assert not buffer.can_transform("a", "b", Time())
        assert buffer.all_frames_as_string() == ""

    def test_a_time_has_to_be_a_time(self):
        with pytest.raises(TypeError, match="time: expected rclpy Time"):
            self.buffer.lookup_transform("map", "base", 1.5)


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


class TestTelling:
    def test_yaml_and_string_name_every_frame(self):
        buffer = buffer_of(transform("map", "base", 1), transform("map", "base", 3))
        buffer.set_transform_static(transform("base", "lidar"), "calibration")
        told = yaml.safe_load(buffer.all_frames_as_yaml(at(5)))
        assert told["base"] == {
            "parent": "map", "broadcaster": "test", "rate": 1.0, "most_recent_transform": 3.0,
            "oldest_transform": 1.0, "transform_delay": 2.0, "buffer_length": 2.0,
        }  # fmt: skip
        assert told["lidar"]["broadcaster"] == "calibration"
        assert buffer.all_frames_as_string().splitlines() == [
            "Frame base exists with parent map.", "Frame lidar exists with parent base.",
        ]  # fmt: skip
        assert tf2_ros.Buffer().all_frames_as_yaml() == "{}"


class TestWaiting:
    def test_a_lookup_waits_for_what_comes_in_time(self):
        buffer = tf2_ros.Buffer()
        sender = threading.Timer(0.1, lambda: buffer.set_transform(transform("a", "b", 1, (5, 0, 0)), "test"))
        sender.start()
        found = buffer.lookup_transform("a", "b", at(1), timeout=Duration(seconds=10))
        sender.join()
        assert found.transform.translation.x == 5.0

    def test_a_lookup_gives_up_after_its_timeout(self):
        buffer = buffer_of(transform("a", "b", 1))
        start = system.monotonic()
        with pytest.raises(tf2_ros.ExtrapolationException):
            buffer.lookup_transform("a", "b", at(2), timeout=Duration(seconds=0.2))
        assert 0.2 <= system.monotonic() - start < 5.0

    def test_coroutines_wait_too(self):
        buffer = tf2_ros.Buffer()
        for waiting in (
            buffer.lookup_transform_async("a", "b", at(1)),
            buffer.lookup_transform_full_async("a", at(1), "b", at(1), "a"),
        ):
            assert waiting.send(None) is None
            buffer.set_transform(transform("a", "b", 1, (5, 0, 0)), "test")
            with pytest.raises(StopIteration) as done:
                waiting.send(None)
            assert done.value.value == transform("a", "b", 1, (5, 0, 0))
            buffer.clear()

    def test_the_future_holds_the_transform(self):
        buffer = tf2_ros.Buffer()
        future = buffer.wait_for_transform_async("a", "b", at(2))
        buffer.set_transform(transform("a", "b", 1), "test")
        assert not future.done()
        buffer.set_transform(transform("a", "b", 3, (2, 0, 0)), "test")
        assert future.result().transform.translation.x == 1.0
        buffer.set_transform(transform("a", "b", 4), "test")  # nobody waits any more

    def test_a_coroutine_of_the_node_may_await_with_a_timeout(self, ros_context):
        node = rclpy.create_node("test_tf2", context=ros_context)
        executor = SingleThreadedExecutor(context=ros_context)
        executor.add_node(node)
        buffer = tf2_ros.Buffer(node=node)
        outcomes: list[str] = []
        query = ("a", "b", at(1), Duration(seconds=0.1))

        async def wait() -> None:
            try:
                outcomes.append((await buffer.lookup_transform_async(*query)).child_frame_id)
            except tf2_ros.LookupException as error:
                outcomes.append(str(error))

        guard = node.create_guard_condition(wait)
        for count, expected in enumerate(("timed out: Invalid frame ID", "b"), start=1):
            guard.trigger()  # its callback holds the default group of the node while it awaits
            deadline = system.monotonic() + 10.0
            while len(outcomes) < count and system.monotonic() < deadline:
                executor.spin_once(timeout_sec=0.1)
            assert outcomes[-1].startswith(expected)
            buffer.set_transform(transform("a", "b", 1), "test")
        assert list(node.timers) == []

    def test_a_timeout_without_a_node_is_refused(self):
        with pytest.raises(tf2_ros.InvalidArgumentException, match="made with a node"):
            tf2_ros.Buffer().wait_for_transform_async("a", "b", at(1), timeout=Duration(seconds=1))


class TestTypes:
    def test_registered_types_are_transformed_and_converted(self):
        def move(point: PointStamped, how: TransformStamped) -> PointStamped:
            x, y, z, _ = matrix(how) @ [point.point.x, point.point.y, point.point.z, 1.0]
            moved = PointStamped(header=how.header)
            moved.point.x, moved.point.y, moved.point.z = x, y, z
            return moved

        buffer = buffer_of(
            transform("map", "base", 1, (1, 0, 0), Z90), transform("map", "base", 2, (2, 0, 0), Z90)
        )
        with pytest.raises(tf2_ros.TypeException):
            buffer.transform(PointStamped(header=Header(frame_id="base")), "map")
        tf2_ros.TransformRegistration().add(PointStamped, move)
        tf2_ros.ConvertRegistration().add_convert(
            (PointStamped, list), lambda p: [p.point.x, p.point.y, p.point.z]
        )
        point = tf2_ros.Stamped(PointStamped(), at(1.5).to_msg(), "base")
        point.point.x = 1.0
        np.testing.assert_allclose(buffer.transform(point, "map", new_type=list), [1.5, 1, 0])
        np.testing.assert_allclose(
            buffer.transform_full(point, "map", at(2), "map", new_type=list), [1.5, 1, 0]
        )
        np.testing.assert_allclose(
            buffer.transform_full(point, "base", at(2), "map", new_type=list), [1, 0.5, 0], atol=1e-12
        )

    def test_conversion_by_way_of_a_message(self):
        registration = tf2_ros.ConvertRegistration()
        registration.add_to_msg(complex, lambda value: (value.real, value.imag))
        registration.add_from_msg(list, list)
        assert tf2_ros.convert(1 + 2j, list) == [1.0, 2.0]
        assert tf2_ros.convert(3, int) == 3
        with pytest.raises(tf2_ros.TypeException):
            tf2_ros.convert("text", bytes)


@pytest.fixture
def spinning(ros_context):
    """A node that a thread spins."""
    node = rclpy.create_node("test_tf2", context=ros_context)
    executor = MultiThreadedExecutor(2, context=ros_context)
    executor.add_node(node)
    stop = threading.Event()

    def spin() -> None:
        while not stop.is_set():
            executor.spin_once(timeout_sec=0.1)

    thread = threading.Thread(target=spin, daemon=True)
    thread.start()
    yield node
    stop.set()
    thread.join(5.0)
    executor.shutdown()


class TestTopics:
    def test_what_is_broadcast_is_heard(self, spinning):
        buffer = tf2_ros.Buffer()
        listener = tf2_ros.TransformListener(buffer, spinning)
        broadcaster = tf2_ros.TransformBroadcaster(spinning)
        moving = [transform("odom", "base", s, (s, 0, 0)) for s in (1, 2)]
        broadcaster.sendTransform(moving)
        broadcaster.sendTransform(transform("base", "arm", 1.5))
        assert buffer.can_transform("odom", "arm", at(1.5), Duration(seconds=10))
        assert buffer.lookup_transform("odom", "base", at(1.5)).transform.translation.x == 1.5
        listener.unregister()
        assert "/tf" not in [subscription.topic_name for subscription in spinning.subscriptions]

    def test_a_late_listener_hears_every_static_frame_ever_sent(self, ros_context, spinning):
        broadcaster = tf2_ros.StaticTransformBroadcaster(spinning)
        broadcaster.sendTransform(transform("base", "lidar", xyz=(0, 0, 1)))
        broadcaster.sendTransform([transform("base", "camera"), transform("base", "lidar", xyz=(0, 0, 2))])
        for kind in (tf2_ros.TransformListener, tf2_ros.StaticTransformListener):
            late = rclpy.create_node("late", context=ros_context)
            buffer = tf2_ros.Buffer()
            listener = kind(buffer, late, spin_thread=True)
            assert buffer.can_transform("camera", "lidar", at(1), Duration(seconds=10))
            assert buffer.lookup_transform("base", "lidar", at(1)).transform.translation.z == 2.0
            listener.unregister()
            late.destroy_node()

    def test_topics_are_global_latched_and_of_the_documented_depth(self, ros_context):
        node = rclpy.create_node("test_tf2", namespace="/robot", context=ros_context)
        moving = tf2_ros.TransformBroadcaster(node).pub_tf
        static = tf2_ros.StaticTransformBroadcaster(node).pub_tf
        assert (moving.topic_name, static.topic_name) == ("/tf", "/tf_static")
        assert static.qos_profile.durability == rclpy.qos.DurabilityPolicy.TRANSIENT_LOCAL
        assert moving.qos_profile.durability == rclpy.qos.DurabilityPolicy.VOLATILE
        assert (moving.qos_profile.depth, static.qos_profile.depth) == (100, 1)

    def test_other_topics_on_request(self, spinning):
        buffer = tf2_ros.Buffer()
        listener = tf2_ros.TransformListener(
            buffer, spinning, tf_topic="/robot/tf", tf_static_topic="/robot/tf_static"
        )
        publisher = spinning.create_publisher(TFMessage, "/robot/tf", 10)
        publisher.publish(TFMessage(transforms=[transform("a", "b", 1)]))
        assert buffer.can_transform("a", "b", at(1), Duration(seconds=10))
        listener.unregister()

    def test_the_service_tells_the_frames(self, spinning):
        buffer = tf2_ros.Buffer(node=spinning)
        buffer.set_transform(transform("map", "base", 1), "test")
        client = spinning.create_client(FrameGraph, "tf2_frames")
        assert client.wait_for_service(timeout_sec=10.0)
        answer = client.call_async(FrameGraph.Request())
        deadline = system.monotonic() + 10.0
        while not answer.done() and system.monotonic() < deadline:
            system.sleep(0.01)
        assert yaml.safe_load(answer.result().frame_yaml)["base"]["parent"] == "map"


class TestBufferClient:
    @pytest.fixture
    def client(self, spinning):
        """A client of an action server that answers from a buffer."""
        from rclpy.action import ActionServer
        from tf2_msgs.action import LookupTransform
        from tf2_msgs.msg import TF2Error

        buffer = buffer_of(transform("foo", "bar", 1, (42, 0, 0)), transform("foo", "bar", 3, (44, 0, 0)))

        def execute(handle):
            goal, result = handle.request, LookupTransform.Result()
            try:
                if goal.advanced:
                    result.transform = buffer.lookup_transform_full(
                        goal.target_frame,
                        goal.target_time,
                        goal.source_frame,
                        goal.source_time,
                        goal.fixed_frame,
                    )
                else:
                    result.transform = buffer.lookup_transform(
                        goal.target_frame, goal.source_frame, goal.source_time
                    )
            except tf2_ros.LookupException as error:
                result.error = TF2Error(error=TF2Error.LOOKUP_ERROR, error_string=str(error))
            except tf2_ros.ExtrapolationException as error:
                result.error = TF2Error(error=TF2Error.EXTRAPOLATION_ERROR, error_string=str(error))
            handle.succeed()
            return result

        server = ActionServer(spinning, LookupTransform, "lookup_transform", execute)
        yield tf2_ros.BufferClient(spinning, "lookup_transform", check_frequency=10.0, timeout_padding=5.0)
        server.destroy()

    def test_answers_and_errors_come_through(self, client):
        found = client.lookup_transform("foo", "bar", at(2), Duration(seconds=5))
        assert found == transform("foo", "bar", 2, (43, 0, 0))
        found = client.lookup_transform_full("foo", TimeMessage(sec=3), "bar", at(1), "foo")
        assert (found.header.stamp.sec, found.transform.translation.x) == (3, 42.0)
        with pytest.raises(tf2_ros.LookupException, match="baz"):
            client.lookup_transform("foo", "baz", at(2))
        with pytest.raises(tf2_ros.ExtrapolationException, match="future"):
            client.lookup_transform("foo", "bar", at(9))
        assert client.can_transform("foo", "bar", at(2)) and not client.can_transform("foo", "bar", at(9))

    def test_nobody_answers(self, spinning):
        client = tf2_ros.BufferClient(spinning, "nobody", timeout_padding=Duration(seconds=0.1))
        with pytest.raises(tf2_ros.TimeoutException, match="no buffer server offers"):
            client.lookup_transform("foo", "bar", Time())


def test_the_interface_alone_looks_nothing_up():
    interface = tf2_ros.BufferInterface()
    for call in (
        lambda: interface.lookup_transform("a", "b", Time()),
        lambda: interface.can_transform("a", "b", Time()),
        lambda: interface.lookup_transform_full("a", Time(), "b", Time(), "c"),
        lambda: interface.can_transform_full("a", Time(), "b", Time(), "c"),
    ):
        with pytest.raises(tf2_ros.NotImplementedException):
            call()


def test_buffers_are_safe_with_several_threads():
    buffer = buffer_of(*(transform("a", "b", s) for s in range(5)))
    stop = threading.Event()
    failures = []

    def write():
        seconds = 5.0
        while not stop.is_set():
            seconds += 0.01
            buffer.set_transform(transform("a", "b", seconds), "test")

    def read():
        while not stop.is_set():
            try:
                buffer.lookup_transform("a", "b", Time())
            except Exception as error:
                failures.append(error)

    threads = [threading.Thread(target=work, daemon=True) for work in (write, read, read)]
    for thread in threads:
        thread.start()
    stop.wait(0.3)
    stop.set()
    for thread in threads:
        thread.join(5.0)
    assert failures == []

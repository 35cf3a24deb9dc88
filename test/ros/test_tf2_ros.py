"""tf2_ros: waiting for transforms, types that are transformed, topics, clocks, and the buffer client."""

from __future__ import annotations

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
from std_msgs.msg import Header
from tf2_msgs.msg import TFMessage
from tf2_msgs.srv import FrameGraph
from tf_messages import Z90, at, buffer_of, matrix, transform


def test_a_buffer_is_a_buffer_core_with_the_same_errors():
    assert issubclass(tf2_ros.Buffer, tf2_ros.BufferCore) and tf2_ros.BufferCore is tf2_py.BufferCore
    assert issubclass(tf2_ros.Buffer, tf2_ros.BufferInterface)
    for kind in ("Connectivity", "Extrapolation", "InvalidArgument", "Lookup", "Timeout"):
        error = getattr(tf2_ros, f"{kind}Exception")
        assert error is getattr(tf2_py, f"{kind}Exception")
        assert issubclass(error, tf2_ros.TransformException)
    buffer = buffer_of(transform("a", "b", 1))
    with pytest.raises(tf2_ros.ExtrapolationException):
        buffer.lookup_transform(target_frame="a", source_frame="b", time=at(2))


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
        query = ("a", at(2), "b", at(2), "a")
        with pytest.raises(tf2_ros.ExtrapolationException):
            buffer.lookup_transform_full(*query, timeout=Duration(seconds=0.2))
        possible, reason = buffer.can_transform_full(*query, Duration(seconds=0.2), return_debug_tuple=True)
        assert not possible and "extrapolation" in reason
        assert 0.6 <= system.monotonic() - start < 30.0
        assert buffer.can_transform("a", "b", at(2), return_debug_tuple=True) == (False, reason)
        assert buffer.can_transform_full("a", at(1), "b", at(1), "a") is True

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

    def test_a_transform_that_is_there_is_not_waited_for(self):
        buffer = buffer_of(transform("a", "b", 1))
        query = ("a", at(1), "b", at(1), "a")
        assert buffer.wait_for_transform_full_async(*query).result() == transform("a", "b", 1)
        for waiting in (
            buffer.lookup_transform_async("a", "b", at(1)),
            buffer.lookup_transform_full_async(*query),
        ):
            with pytest.raises(StopIteration) as done:
                waiting.send(None)
            assert done.value.value == transform("a", "b", 1)

    def test_every_future_is_answered_once_whatever_thread_brings_the_transform(self):
        buffer = tf2_ros.Buffer()
        answers: list[object] = []
        for step in range(1, 101):
            future = buffer.wait_for_transform_async("a", "b", at(step / 20))
            future.add_done_callback(lambda _, step=step: answers.append(step))

        def bring() -> None:
            try:
                for step in range(1, 101):
                    buffer.set_transform(transform("a", "b", step / 20), "test")
            except Exception as error:
                answers.append(error)

        threads = [threading.Thread(target=bring) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30.0)
        assert sorted(answers, key=str) == sorted(range(1, 101), key=str)

    def test_a_cancelled_future_is_left_alone(self):
        buffer = tf2_ros.Buffer()
        future = buffer.wait_for_transform_async("a", "b", at(1))
        future.cancel()
        buffer.set_transform(transform("a", "b", 1), "test")
        assert future.cancelled() and future.result() is None

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

    def test_one_thread_may_do_both_and_the_buffer_of_a_listener_may_be_replaced(self, ros_context):
        node = rclpy.create_node("test_tf2", context=ros_context)
        executor = SingleThreadedExecutor(context=ros_context)
        executor.add_node(node)
        listener = tf2_ros.TransformListener(tf2_ros.Buffer(), node)
        static_listener = tf2_ros.StaticTransformListener(buffer=tf2_ros.Buffer(), node=node)
        listener.buffer = static_listener.buffer = buffer = tf2_ros.Buffer()
        tf2_ros.TransformBroadcaster(node).sendTransform(transform("foo", "bar", 0.3))
        tf2_ros.StaticTransformBroadcaster(node).sendTransform((transform("bar", "baz"),))
        deadline = system.monotonic() + 10.0
        while not buffer.can_transform("foo", "baz", at(0.3)) and system.monotonic() < deadline:
            executor.spin_once(timeout_sec=0.1)
        assert buffer.lookup_transform("foo", "bar", at(0.3)) == transform("foo", "bar", 0.3)
        assert buffer.lookup_transform("bar", "baz", at(7)).header.stamp.sec == 7

    def test_a_listener_hears_static_frames_alone_on_request(self, spinning):
        for listener in (
            tf2_ros.TransformListener(tf2_ros.Buffer(), spinning, static_only=True),
            tf2_ros.StaticTransformListener(tf2_ros.Buffer(), spinning),
        ):
            topics = [subscription.topic_name for subscription in spinning.subscriptions]
            assert "/tf_static" in topics and "/tf" not in topics
            listener.unregister()

    def test_a_listener_without_a_node_makes_one(self):
        rclpy.init(signal_handler_options=rclpy.signals.SignalHandlerOptions.NO)
        try:
            buffer = tf2_ros.Buffer()
            listener = tf2_ros.TransformListener(buffer, None, spin_thread=True)
            broadcaster = tf2_ros.StaticTransformBroadcaster(rclpy.create_node("robot"))
            broadcaster.sendTransform(transform("base", "lidar"))
            assert buffer.can_transform("base", "lidar", at(1), Duration(seconds=10))
            listener.unregister()
        finally:
            rclpy.try_shutdown()

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


class TestClocks:
    def test_simulated_time_that_jumps_back_clears_what_moves(self, ros_context):
        node = rclpy.create_node("test_tf2", context=ros_context)
        buffer, clock = tf2_ros.Buffer(node=node), node.get_clock()
        buffer.set_transform_static(transform("base", "lidar"), "test")
        buffer.set_transform(transform("map", "base", 1), "test")
        clock._set_ros_time_is_active(True)  # as parameter use_sim_time does
        assert not buffer.can_transform("map", "base", at(1))
        for now_s, remains in ((100, True), (200, True), (199.5, True), (150, False)):
            buffer.set_transform(transform("map", "base", 1), "test")
            clock.set_ros_time_override(Time(seconds=now_s, clock_type=clock.clock_type))
            assert buffer.can_transform("map", "base", at(1)) == remains, now_s
            assert buffer.can_transform("base", "lidar", at(1))


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
        with pytest.raises(tf2_ros.TimeoutException, match="The BufferServer is not ready"):
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

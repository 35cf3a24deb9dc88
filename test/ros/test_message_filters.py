"""message_filters: order, slop, queues and times, on filters fed by hand and on a real topic."""

from __future__ import annotations

import itertools
import random
import threading
from functools import partial
from types import SimpleNamespace

import message_filters
import pytest
import rclpy
from builtin_interfaces.msg import Time as TimeMessage
from message_filters.delta_filter import CachedComparisonHandler
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.clock import ClockType, ROSClock
from rclpy.duration import Duration
from rclpy.executors import SingleThreadedExecutor
from rclpy.task import Future
from rclpy.time import Time
from sensor_msgs.msg import PointCloud2
from std_msgs.msg import ColorRGBA, Header, String


def stamped(seconds: float) -> PointCloud2:
    return PointCloud2(header=Header(stamp=Time(seconds=seconds).to_msg()))


def synchronized(kind: type, inputs: int, *args, **kwargs):
    """Inputs, the sets that came out, and the synchronizer."""
    filters = [message_filters.SimpleFilter() for _ in range(inputs)]
    synchronizer = kind(filters, *args, **kwargs)
    sets: list[tuple] = []
    synchronizer.registerCallback(lambda *messages: sets.append(messages))
    return filters, sets, synchronizer


def ids(sets) -> list[tuple[int, ...]]:
    return [tuple(id(message) for message in messages) for messages in sets]


class TestSimpleFilter:
    def test_calls_back_in_order_with_the_registered_arguments(self):
        heard = []
        source = message_filters.SimpleFilter()
        first = source.registerCallback(lambda *args: heard.append(("first", args)), 1, "two")
        second = source.registerCallback(lambda *args: heard.append(("second", args)))
        source.signalMessage("message", "another")
        assert heard == [("first", ("message", "another", 1, "two")), ("second", ("message", "another"))]
        assert first != second

    def test_an_ended_connection_is_silent_and_its_number_is_not_used_again(self):
        heard = []
        source = message_filters.SimpleFilter()
        first = source.registerCallback(
            heard.append,
        )
        source.unregisterCallback(first)
        source.unregisterCallback(first)
        source.registerCallback(lambda message: heard.append((message, "again")))
        third = source.registerCallback(lambda message: source.unregisterCallback(third))
        source.signalMessage("message")
        source.signalMessage("another")
        assert heard == [("message", "again"), ("another", "again")]
        assert third != first


class TestCache:
    def cache(self, seconds=(0, 1, 2, 3, 4), size=5, **kwargs) -> message_filters.Cache:
        cache = message_filters.Cache(message_filters.SimpleFilter(), size, **kwargs)
        for second in seconds:
            cache.add(stamped(second))
        return cache

    def seconds(self, messages) -> list[int]:
        return [message.header.stamp.sec for message in messages]

    @pytest.mark.parametrize(
        ("start", "end", "expected"), [(2.5, 3.5, [3]), (2, 3, [2, 3]), (0, 4, [0, 1, 2, 3, 4]), (5, 6, [])]
    )
    def test_interval_includes_both_ends(self, start, end, expected):
        assert (
            self.seconds(self.cache().getInterval(Time(seconds=start), Time(seconds=end).to_msg()))
            == expected
        )

    def test_an_interval_has_to_go_forward(self):
        with pytest.raises(AssertionError):
            self.cache().getInterval(Time(seconds=3), Time(seconds=2))

    @pytest.mark.parametrize(
        ("start", "end", "expected"),
        [
            (1.5, 2.5, [1, 2, 3]),
            (1, 2, [1, 2]),
            (3.5, 9, [3, 4]),
            (7, 9, [4]),
            (2.2, 2.4, [2, 3]),
        ],
    )
    def test_surrounding_interval_is_the_shortest_around(self, start, end, expected):
        found = self.cache().getSurroundingInterval(Time(seconds=start), Time(seconds=end))
        assert self.seconds(found) == expected

    def test_elements_before_and_after_a_time(self):
        cache = self.cache()
        assert cache.getElemAfterTime(Time(seconds=2)).header.stamp.sec == 2
        assert cache.getElemAfterTime(Time(seconds=2.1)).header.stamp.sec == 3
        assert cache.getElemAfterTime(Time(seconds=4.1)) is None
        assert cache.getElemBeforeTime(Time(seconds=3.5)).header.stamp.sec == 3
        assert self.cache([1]).getElemBeforeTime(Time(seconds=0.5)) is None

    def test_keeps_the_newest_in_order_of_their_stamps(self):
        cache = self.cache([3, 1, 4, 0, 2, 5])
        assert cache.getOldestTime() == Time(seconds=1, clock_type=ClockType.ROS_TIME)
        assert (
            cache.getLatestTime() == cache.getLastestTime() == Time(seconds=5, clock_type=ClockType.ROS_TIME)
        )
        assert self.seconds(cache.getInterval(Time(), Time(seconds=9))) == [1, 2, 3, 4, 5]
        assert cache.getLast().header.stamp.sec == 5

    def test_an_empty_cache_has_nothing(self):
        cache = self.cache([])
        assert cache.getLatestTime() is cache.getOldestTime() is cache.getLast() is None
        assert cache.getInterval(Time(), Time(seconds=1)) == []
        assert cache.getSurroundingInterval(Time(), Time(seconds=1)) == []

    def test_passes_messages_on_and_holds_one_by_default(self):
        source = message_filters.SimpleFilter()
        cache = message_filters.Cache(source)
        heard = []
        cache.registerCallback(heard.append)
        messages = [stamped(1), stamped(2)]
        for message in messages:
            source.signalMessage(message)
        assert heard == messages
        assert self.seconds(cache.getInterval(Time(), Time(seconds=9))) == [2]

    def test_headerless_messages_only_where_allowed_and_at_their_arrival(self):
        refusing, taking = self.cache([]), self.cache([], allow_headerless=True)
        before = ROSClock().now()
        for cache in (refusing, taking):
            cache.add(String(data="no header"))
        assert refusing.getLast() is None
        assert before <= taking.getLatestTime() <= ROSClock().now()

    def test_times_may_come_from_elsewhere(self):
        cache = self.cache([], time_getter=lambda message: Time(seconds=int(message.data)))
        for text in ("3", "1"):
            cache.add(String(data=text))
        assert cache.getLast().data == "3"


class TestChain:
    def test_hands_through_every_filter_and_out_of_the_last(self):
        source = message_filters.SimpleFilter()
        chain = message_filters.Chain()
        chain.connectInput(source)
        first, second = (message_filters.Cache(None, 3) for _ in range(2))
        chain.addFilter(first)
        heard = []
        chain.registerCallback(heard.append)
        source.signalMessage(stamped(1))
        chain.addFilter(second)
        chain.add(stamped(2))
        assert [message.header.stamp.sec for message in heard] == [1, 2]
        assert [len(cache.cache_msgs) for cache in (first, second)] == [2, 1]

    def test_without_filters_it_passes_messages_on(self):
        chain = message_filters.Chain()
        heard = []
        chain.registerCallback(heard.append)
        chain.add("message")
        assert heard == ["message"]

    def test_has_one_input(self):
        source = message_filters.SimpleFilter()
        chain = message_filters.Chain(source)
        with pytest.raises(RuntimeError, match="Already connected"):
            chain.connectInput(source)

    def test_knows_its_filters(self):
        chain = message_filters.Chain()
        cache = message_filters.Cache(None)
        chain.addFilter(cache)
        assert chain.getFilter(0) is cache
        for absent in (1, -1):
            with pytest.raises(KeyError):
                chain.getFilter(absent)


class TestDeltaFilter:
    def colours(self, delta_filter: message_filters.DeltaFilter) -> list[tuple[float, float]]:
        """Red and green of what passes of four colours."""
        passed = []
        delta_filter.registerCallback(lambda colour: passed.append((colour.r, colour.g)))
        for red, green in ((0, 0), (0, 0), (1, 0), (1, 0.5)):
            delta_filter.add(ColorRGBA(r=float(red), g=float(green)))
        return passed

    def test_passes_on_what_changed_in_any_of_the_fields(self):
        red, green = (lambda colour: colour.r), (lambda colour: colour.g)
        assert self.colours(message_filters.DeltaFilter([red])) == [(0, 0), (1, 0)]
        assert self.colours(message_filters.DeltaFilter([red, green])) == [(0, 0), (1, 0), (1, 0.5)]

    def test_fields_may_be_named_by_their_path(self):
        source = message_filters.SimpleFilter()
        delta_filter = message_filters.PathDeltaFilter(["header.frame_id"], source)
        passed = []
        delta_filter.registerCallback(passed.append)
        messages = [PointCloud2(header=Header(frame_id=name)) for name in "aab"]
        for message in messages:
            source.signalMessage(message)
        assert passed == [messages[0], messages[2]]
        with pytest.raises(RuntimeError, match=r"header\.frame_id: no such field"):
            source.signalMessage(String())
        with pytest.raises(RuntimeError, match="Already connected"):
            delta_filter.connectInput(source)

    def test_compares_plain_values_only(self):
        compare = message_filters.DeltaCompare([lambda cloud: cloud.header])
        assert compare.message_fits(PointCloud2())
        with pytest.raises(TypeError, match="got Header"):
            compare.message_fits(PointCloud2())

    def test_other_comparisons_may_decide(self):
        class Growing(CachedComparisonHandler):
            _field_getters = [len]  # noqa: RUF012

            def do_fields_fit(self, field_a, field_b):
                return field_b > field_a

        growing = message_filters.ComparisonFilter(Growing())
        passed = []
        growing.registerCallback(passed.append)
        for text in ("aa", "b", "ccc", "ddd"):
            growing.add(text)
        assert passed == ["aa", "ccc"]


class TestTimeSynchronizer:
    def test_pairs_equal_stamps(self):
        (left, right), sets, _ = synchronized(message_filters.TimeSynchronizer, 2, 10)
        lefts, rights = [[stamped(second) for second in range(5)] for _ in range(2)]
        for message in lefts:
            left.signalMessage(message)
        assert sets == []
        for message in rights:
            right.signalMessage(message)
        assert ids(sets) == ids(zip(lefts, rights, strict=True))

    def test_takes_times_of_any_kind_and_any_number_of_inputs(self):
        inputs, sets, _ = synchronized(message_filters.TimeSynchronizer, 3, 1)
        for second in range(3):
            for source, stamp in zip(
                inputs, (Time(seconds=second), TimeMessage(sec=second)) * 2, strict=False
            ):
                source.signalMessage(SimpleNamespace(header=SimpleNamespace(stamp=stamp)))
            assert len(sets) == second + 1

    def test_messages_without_a_time_are_an_error_unless_a_getter_knows_it(self):
        (left, _), sets, _ = synchronized(message_filters.TimeSynchronizer, 2, 10)
        with pytest.raises(ValueError, match="String: expected a message with a header stamp"):
            left.signalMessage(String())
        (left, right), sets, _ = synchronized(
            message_filters.TimeSynchronizer, 2, 10, time_getter=lambda message: Time(seconds=1)
        )
        left.signalMessage(String())
        right.signalMessage(String())
        assert len(sets) == 1

    def test_a_nanosecond_apart_is_not_equal(self):
        (left, right), sets, _ = synchronized(message_filters.TimeSynchronizer, 2, 10)
        left.signalMessage(PointCloud2(header=Header(stamp=TimeMessage(sec=1))))
        right.signalMessage(PointCloud2(header=Header(stamp=TimeMessage(sec=1, nanosec=1))))
        assert sets == []

    def test_what_is_older_than_a_set_is_dropped_as_in_cpp(self):
        (left, right), sets, _ = synchronized(message_filters.TimeSynchronizer, 2, 10)
        left.signalMessage(stamped(1))
        left.signalMessage(stamped(2))
        right.signalMessage(stamped(2))
        assert len(sets) == 1
        right.signalMessage(stamped(1))
        assert len(sets) == 1

    def test_the_queue_forgets_the_oldest(self):
        (left, right), sets, _ = synchronized(message_filters.TimeSynchronizer, 2, 2)
        for second in (1, 2, 3):
            left.signalMessage(stamped(second))
        right.signalMessage(stamped(1))
        assert sets == []
        right.signalMessage(stamped(2))
        assert len(sets) == 1

    def test_time_may_start_again(self):
        (left, right), sets, _ = synchronized(message_filters.TimeSynchronizer, 2, 10)
        for second in (100, 1):
            left.signalMessage(stamped(second))
            right.signalMessage(stamped(second))
        assert [messages[0].header.stamp.sec for messages in sets] == [100, 1]


class TestApproximateTimeSynchronizer:
    kind = message_filters.ApproximateTimeSynchronizer

    def test_scrambled_pairs_find_each_other(self):
        generator = random.Random(0)
        for count in range(1, 10):
            (left, right), sets, _ = synchronized(self.kind, 2, count, 0.1)
            lefts = [stamped(second) for second in range(count)]
            rights = [stamped(second + 0.05) for second in range(count)]
            for message in generator.sample(lefts, count):
                left.signalMessage(message)
            for message in generator.sample(rights, count):
                right.signalMessage(message)
            assert set(ids(sets)) == set(ids(zip(lefts, rights, strict=True)))

    def test_the_slop_is_a_limit_not_a_member(self):
        for distance, expected in ((0.0999, 1), (0.1, 0), (0.1001, 0)):
            (left, right), sets, _ = synchronized(self.kind, 2, 5, 0.1)
            left.signalMessage(stamped(1))
            right.signalMessage(stamped(1 + distance))
            assert len(sets) == expected, distance

    def test_all_members_of_a_set_lie_within_the_slop(self):
        (first, second, third), sets, _ = synchronized(self.kind, 3, 5, 0.1)
        first.signalMessage(stamped(1.00))
        second.signalMessage(stamped(1.15))
        third.signalMessage(stamped(1.08))
        assert sets == []
        second.signalMessage(stamped(1.02))
        assert len(sets) == 1

    def test_the_nearest_is_taken_and_each_message_once(self):
        (left, right), sets, _ = synchronized(self.kind, 2, 5, 0.5)
        far, near = stamped(1.3), stamped(1.1)
        left.signalMessage(far)
        left.signalMessage(near)
        right.signalMessage(stamped(1.0))
        right.signalMessage(stamped(1.05))
        assert [messages[0] is expected for messages, expected in zip(sets, (near, far), strict=True)] == [
            True,
            True,
        ]

    def test_agrees_with_an_exhaustive_search_over_random_streams(self):
        """Every set is the nearest possible at its time, by brute force over what is queued."""
        generator = random.Random(1)
        (a, b, c), sets, synchronizer = synchronized(self.kind, 3, 4, 0.2)
        for _ in range(200):
            stamp_ns = round(generator.uniform(0.0, 3.0) * 1e9)
            source, queue = generator.choice(list(zip((a, b, c), synchronizer.queues, strict=True)))
            others = [dict(other) for other in synchronizer.queues if other is not queue]
            kept = sorted([*queue, stamp_ns])[-4:]
            possible = [
                times
                for times in itertools.product([stamp_ns], *others)
                if stamp_ns in kept and max(times) - min(times) < 200_000_000
            ]
            before = len(sets)
            source.signalMessage(PointCloud2(header=Header(stamp=Time(nanoseconds=stamp_ns).to_msg())))
            assert len(sets) - before == bool(possible)
        assert len(sets) > 10

    def test_headerless_and_arrival_time(self):
        (left, right), sets, _ = synchronized(self.kind, 2, 5, 10.0, allow_headerless=True)
        left.signalMessage(
            PointCloud2(header=Header(stamp=(ROSClock().now() + Duration(seconds=1)).to_msg()))
        )
        right.signalMessage(String())
        assert len(sets) == 1
        (left, right), sets, _ = synchronized(self.kind, 2, 5, 10.0, sync_arrival_time=True)
        left.signalMessage(stamped(1))
        right.signalMessage(stamped(1000))
        assert len(sets) == 1
        (left, right), sets, _ = synchronized(self.kind, 2, 5, 10.0)
        left.signalMessage(String())
        right.signalMessage(String())
        assert sets == []

    def test_known_delays_of_the_inputs_are_taken_off(self):
        (left, right), sets, synchronizer = synchronized(self.kind, 2, 5, 0.1, queue_offset=[0, 500_000_000])
        left.signalMessage(stamped(1))
        right.signalMessage(stamped(1))
        right.signalMessage(stamped(1.5))
        assert [messages[1].header.stamp.nanosec for messages in sets] == [500_000_000]
        assert synchronizer.slop == Duration(seconds=0.1)

    def test_a_callback_may_feed_the_synchronizer(self):
        (left, right), sets, synchronizer = synchronized(self.kind, 2, 5, 0.1)
        again = iter([stamped(2.0)])
        synchronizer.registerCallback(lambda *_: [left.signalMessage(message) for message in again])
        left.signalMessage(stamped(1.0))
        feeder = threading.Thread(target=partial(right.signalMessage, stamped(1.0)), daemon=True)
        feeder.start()
        feeder.join(5.0)
        assert not feeder.is_alive()
        right.signalMessage(stamped(2.0))
        assert len(sets) == 2


def test_subscriber_is_a_subscription_with_all_its_options(ros_context):
    node = rclpy.create_node("test_message_filters", context=ros_context)
    executor = SingleThreadedExecutor(context=ros_context)
    executor.add_node(node)
    group = ReentrantCallbackGroup()
    subscriber = message_filters.Subscriber(node, String, "spoken", qos_profile=5, callback_group=group)
    assert subscriber.getTopic() == subscriber.topic == "spoken"
    assert subscriber.topic_name == "/spoken" and subscriber.msg_type is String
    assert subscriber.sub.callback_group is group
    heard = Future()
    subscriber.registerCallback(heard.set_result)
    publisher = node.create_publisher(String, "spoken", 5)
    publisher.publish(String(data="hello"))
    executor.spin_until_future_complete(heard, timeout_sec=10.0)
    assert heard.result() == String(data="hello")

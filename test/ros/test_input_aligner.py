"""message_filters.InputAligner: messages of several inputs in the order of their stamps."""

from __future__ import annotations

import time as system

import pytest
import rclpy
from message_filters import InputAligner, SimpleFilter
from message_filters.input_aligner import QueueStatus
from rclpy.duration import Duration
from rclpy.executors import SingleThreadedExecutor
from rclpy.time import Time
from sensor_msgs.msg import PointCloud2
from std_msgs.msg import Header


def ms(number: int) -> Duration:
    return Duration(nanoseconds=number * 1_000_000)


class Bench:
    """An aligner, its inputs, and the milliseconds of what comes out."""

    def __init__(self, inputs: int, *, timeout_ms: int = 1000, period_ms: int = 2) -> None:
        self.inputs = [SimpleFilter() for _ in range(inputs)]
        self.aligner = InputAligner(ms(timeout_ms), *self.inputs)
        self.heard: list[int] = []
        for index in range(inputs):
            self.aligner.registerCallback(index, self.hear)
            self.aligner.setInputPeriod(index, ms(period_ms))

    def hear(self, message: PointCloud2) -> None:
        self.heard.append(message.header.stamp.nanosec // 1_000_000)

    def send(self, **times_ms: list[int]) -> list[int]:
        """Send messages to inputs `a`, `b`, ..., dispatch, and return all that was heard so far."""
        for name, times in times_ms.items():
            for number in times:
                stamp = Time(nanoseconds=number * 1_000_000).to_msg()
                self.inputs["abcd".index(name)].signalMessage(PointCloud2(header=Header(stamp=stamp)))
        self.aligner.dispatchMessages()
        return self.heard


def test_messages_come_out_in_the_order_of_their_stamps():
    assert Bench(3, period_ms=4).send(a=[3, 7, 1, 5], b=[2, 6, 6], c=[4, 8]) == [1, 2, 3, 4, 5, 6, 6, 7, 8]


def test_what_is_older_than_the_last_one_out_is_dropped():
    bench = Bench(2)
    assert bench.send(a=[4], b=[3]) == [3, 4]
    assert bench.send(a=[1, 5], b=[2, 6]) == [3, 4, 5, 6]
    assert bench.aligner.getQueueStatus(0) == QueueStatus(True, 0, 2, 1)


def test_an_input_that_never_spoke_is_not_waited_for():
    assert Bench(3).send(b=[1, 3], c=[2, 4]) == [1, 2, 3, 4]


def test_an_active_input_is_waited_for_until_its_message_is_overdue():
    bench = Bench(2, timeout_ms=10)
    assert bench.send(a=[1, 3, 5, 7, 9, 15], b=[2, 4]) == [1, 2, 3, 4, 5]  # b is due at 6
    assert bench.aligner.getQueueStatus(1).active
    assert bench.send(a=[16]) == [1, 2, 3, 4, 5, 7, 9, 15, 16]
    assert not bench.aligner.getQueueStatus(1).active
    assert bench.send(b=[17], a=[18])[-2:] == [17, 18]


def test_without_a_period_the_next_message_is_due_with_the_last():
    bench = Bench(3, timeout_ms=10, period_ms=0)
    assert bench.send(a=[6], b=[1, 3, 5], c=[2, 4]) == [1, 2, 3, 4]
    assert bench.send(a=[16]) == [1, 2, 3, 4, 5, 6, 16]


def test_the_status_counts_what_waits_what_went_and_what_was_dropped():
    bench = Bench(2)
    assert bench.aligner.getQueueStatus(0) == QueueStatus(
        active=False, queue_size=0, msgs_processed=0, msgs_dropped=0
    )
    bench.send(a=[3, 5, 7], b=[2])
    assert bench.aligner.getQueueStatus(0) == QueueStatus(True, 2, 1, 0)
    assert bench.aligner.getQueueStatus(1) == QueueStatus(True, 0, 1, 0)


def test_new_inputs_replace_the_old_ones_their_messages_and_callbacks():
    bench = Bench(2)
    bench.inputs[0].signalMessage(PointCloud2())
    bench.aligner.connectInput(filters=bench.inputs[1:])
    assert bench.send(a=[1], b=[2]) == []
    bench.aligner.registerCallback(0, lambda message, note: bench.heard.append(note), "b spoke")
    assert bench.send(b=[3]) == ["b spoke"]
    bench.aligner.disconnectAll()
    assert bench.send(b=[4]) == ["b spoke"]
    with pytest.raises(IndexError):
        bench.aligner.registerCallback(1, bench.hear)


def test_has_a_name():
    aligner = InputAligner(ms(1), filters=[SimpleFilter(), SimpleFilter()])
    assert (aligner.getName(), len(aligner.event_queues)) == ("", 2)
    aligner.setName("cameras")
    assert aligner.getName() == "cameras"


def test_a_timer_dispatches(ros_context):
    node = rclpy.create_node("test_input_aligner", context=ros_context)
    executor = SingleThreadedExecutor(context=ros_context)
    executor.add_node(node)
    bench = Bench(1)
    bench.aligner.setupDispatchTimer(node, ms(10))
    bench.aligner.add(PointCloud2(header=Header(stamp=Time(nanoseconds=5_000_000).to_msg())), 0)
    deadline = system.monotonic() + 10.0
    while not bench.heard and system.monotonic() < deadline:
        executor.spin_once(timeout_sec=0.1)
    assert bench.heard == [5]

"""Signals that wait for the end of a step."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from clip2scene_core.training.interruption import interruptions_deferred


def send(number):
    """To this process; Python runs the handler before the next line."""
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_waits_until_it_is_asked_for(number):
    done = []
    with pytest.raises(KeyboardInterrupt), interruptions_deferred() as stop_if_interrupted:
        stop_if_interrupted()
        done.append("before")
        send(number)
        done.append("after")
        stop_if_interrupted()
        done.append("never")
    assert done == ["before", "after"]


def test_a_second_signal_does_not_wait():
    with pytest.raises(KeyboardInterrupt), interruptions_deferred():
        send(signal.SIGINT)
        send(signal.SIGINT)
        pytest.fail("the second signal was held back")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_handlers_are_given_back(number):
    before = signal.getsignal(number)
    with interruptions_deferred():
        assert signal.getsignal(number) is not before
    assert signal.getsignal(number) is before


def test_other_threads_get_no_signals_and_no_error():
    results = []

    def work():
        with interruptions_deferred() as stop_if_interrupted:
            stop_if_interrupted()
            results.append("worked")

    before = signal.getsignal(signal.SIGINT)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert results == ["worked"]
    assert signal.getsignal(signal.SIGINT) is before

"""The worker keeps only the newest waiting job, counts what it drops, and survives its own failures."""

from __future__ import annotations

import threading

from clip2scene_ros.worker import NewestOnlyWorker

WAIT_S = 5.0


class Recorder:
    """A `process` that blocks until it is released, and remembers everything."""

    def __init__(self) -> None:
        self.started, self.release = threading.Semaphore(0), threading.Semaphore(0)
        self.finished = threading.Semaphore(0)
        self.done, self.dropped, self.failed = [], [], []

    def process(self, job: int) -> None:
        self.started.release()
        assert self.release.acquire(timeout=WAIT_S)
        self.done.append(job)
        self.finished.release()
        if job < 0:
            raise ValueError(f"job {job}")

    def worker(self) -> NewestOnlyWorker[int]:
        return NewestOnlyWorker(
            self.process,
            on_drop=self.dropped.append,
            on_error=lambda job, error: self.failed.append((job, str(error))),
        )


def test_only_the_newest_waiting_job_survives() -> None:
    recorder = Recorder()
    worker = recorder.worker()
    worker.submit(1)
    assert recorder.started.acquire(timeout=WAIT_S)
    for job in (2, 3, 4):
        worker.submit(job)
    recorder.release.release(2)
    assert recorder.finished.acquire(timeout=WAIT_S) and recorder.finished.acquire(timeout=WAIT_S)
    assert worker.stop(WAIT_S)
    assert (recorder.done, recorder.dropped) == ([1, 4], [2, 3])


def test_a_failing_job_is_reported_and_the_next_one_runs() -> None:
    recorder = Recorder()
    worker = recorder.worker()
    for job in (-1, 5):
        worker.submit(job)
        recorder.release.release()
        assert recorder.finished.acquire(timeout=WAIT_S)
    assert worker.stop(WAIT_S)
    assert (recorder.done, recorder.failed) == ([-1, 5], [(-1, "job -1")])


def test_stop_finishes_the_running_job_and_forgets_the_waiting_one() -> None:
    recorder = Recorder()
    worker = recorder.worker()
    worker.submit(1)
    assert recorder.started.acquire(timeout=WAIT_S)
    worker.submit(2)
    assert not worker.stop(0.01)
    recorder.release.release(2)
    assert worker.stop(WAIT_S)
    assert (recorder.done, recorder.dropped) == ([1], [])
    assert worker.stopping.is_set()

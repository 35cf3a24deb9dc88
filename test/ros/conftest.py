"""A ROS graph of its own for every test run, a stand-in for the network, and a robot to talk to the node."""

from __future__ import annotations

import os

# Before anything opens DDS: nothing of this run may meet another one, on this machine or elsewhere.
os.environ["ROS_DOMAIN_ID"] = str(1 + os.getpid() % 100)
os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from clip2scene_core import checkpoint as checkpoints
from clip2scene_core.build import build_student, orthonormal_embeddings
from clip2scene_core.checkpoint import Checkpoint
from clip2scene_core.config import StudentConfig
from clip2scene_core.errors import ConfigError
from clip2scene_core.labels import LabelSet
from clip2scene_core.types import Frame, SemanticLabels

WAIT_S = 30.0


class FakeSegmenter:
    """Answers with the first class below z = 0 and with the last one above; remembers the frames."""

    def __init__(self, label_set: LabelSet) -> None:
        self.label_set = label_set
        self.frames: list[Frame] = []
        self.failure: Exception | None = None
        self.running = threading.Event()
        self.gate = threading.Event()
        self.gate.set()
        self.embedding = threading.Event()
        self.clip = threading.Event()
        """Until then, words that it does not know are being embedded."""
        self.clip_failure: Exception | None = None

    def segment(self, frame: Frame, stages: Callable) -> SemanticLabels:
        with stages("network"):
            self.running.set()
            assert self.gate.wait(WAIT_S)
            self.frames.append(frame)
            if self.failure is not None:
                raise self.failure
            finite = np.isfinite(frame.scan.xyz).all(axis=1)
            classes = self.label_set.ids[np.where(frame.scan.xyz[:, 2] < 0, 0, -1)]
            return SemanticLabels(
                class_id=np.where(finite, classes, self.label_set.ignore_id).astype(np.uint16),
                probability=np.where(finite, 0.75, 0.0).astype(np.float32),
            )

    def needs_clip(self, words: Sequence[str]) -> bool:
        """Of all words that it does not know but unicorns, which cannot be had."""
        if "unicorn" in words:
            raise ConfigError("'unicorn' is not in the checkpoint")
        return any(word not in self.label_set.names for word in words)

    def with_words(self, words: Sequence[str]) -> FakeSegmenter:
        if not self.needs_clip(words):
            chosen = tuple(c for word in words for c in self.label_set.classes if c.name == word)
            return FakeSegmenter(replace(self.label_set, classes=chosen, maps={}))
        self.embedding.set()
        assert self.clip.wait(WAIT_S)
        if self.clip_failure is not None:
            raise self.clip_failure
        logging.getLogger("clip2scene_core.clip.text").warning("tiny never read a word of: %s", words[0])
        return FakeSegmenter(LabelSet.from_words(words))


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory) -> Path:
    """A small network that knows nothing."""
    path = tmp_path_factory.mktemp("checkpoint") / "tiny.safetensors"
    street = LabelSet.named("street")
    config = StudentConfig(variant=14, width=0.05, embedding_dim=16, voxel_m=0.5)
    classes = len(street.classes)
    made = Checkpoint(
        student=config,
        label_set=street,
        text_embeddings=orthonormal_embeddings(classes, 16, seed=0),
        phrase_class=tuple(range(classes)),
        teacher="none: a test",
        training={},
        weights=build_student(config, engine="torch").state_dict(),
    )
    checkpoints.save(made, path)
    return path


@pytest.fixture
def ros_context():
    """An initialised rclpy context without signal handlers."""
    rclpy = pytest.importorskip("rclpy", reason="ROS 2 is not installed")
    context = rclpy.context.Context()
    rclpy.init(context=context, signal_handler_options=rclpy.signals.SignalHandlerOptions.NO)
    yield context
    rclpy.try_shutdown(context=context)


@pytest.fixture
def bench():
    """Makes nodes with stand-in networks, each beside a robot; cleans up after the test."""
    pytest.importorskip("tf2_ros", reason="ROS 2 is not installed")
    from robot import Bench

    benches: list[Bench] = []

    def make(*, subscribe: bool = True, cli_args: Sequence[str] = (), **parameters) -> Bench:
        segmenter = FakeSegmenter(LabelSet.named("street"))
        benches.append(Bench(segmenter, parameters, subscribe=subscribe, cli_args=cli_args))
        return benches[-1]

    yield make
    for made in benches:
        made.close()

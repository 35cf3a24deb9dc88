"""tf2_py on random trees: against products of matrices with SciPy's Slerp between the stamps."""

from __future__ import annotations

import itertools
import operator
from dataclasses import dataclass

import numpy as np
import pytest
import tf2_py
from hypothesis import given, settings
from hypothesis import strategies as st
from rclpy.duration import Duration
from rclpy.time import Time
from scipy.spatial.transform import Rotation, Slerp
from tf_messages import matrix, transform

TIMES_MS = st.integers(1, 1000)
COORDINATES = st.floats(-100, 100)
# From stamp to stamp less than half a turn, where both ways from one to the other are the shorter one.
STEPS = st.tuples(*[st.floats(-1.7, 1.7)] * 3)


@dataclass(frozen=True, kw_only=True, slots=True)
class Motion:
    """The poses of a frame in its parent, by stamp; a static frame has one."""

    parent: int
    is_static: bool
    times_ms: list[int]
    translations: np.ndarray
    rotations: Rotation

    def covers(self, time_ms: float) -> bool:
        return self.is_static or self.times_ms[0] <= time_ms <= self.times_ms[-1]

    def parent_from_child(self, time_ms: float) -> np.ndarray:
        pose = np.eye(4)
        if len(self.times_ms) == 1:
            pose[:3, :3], pose[:3, 3] = self.rotations[0].as_matrix(), self.translations[0]
            return pose
        pose[:3, :3] = Slerp(self.times_ms, self.rotations)(time_ms).as_matrix()
        pose[:3, 3] = [np.interp(time_ms, self.times_ms, axis) for axis in self.translations.T]
        return pose


@st.composite
def motions(draw, parents: int) -> Motion:
    is_static = draw(st.booleans())
    times = [1] if is_static else sorted(draw(st.sets(TIMES_MS, min_size=1, max_size=4)))
    vectors = st.lists(st.tuples(*[COORDINATES] * 3), min_size=len(times), max_size=len(times))
    steps = [Rotation.from_rotvec(draw(STEPS)) for _ in times]
    return Motion(
        parent=draw(st.integers(0, parents - 1)),
        is_static=is_static,
        times_ms=times,
        translations=np.array(draw(vectors)),
        rotations=Rotation.concatenate(list(itertools.accumulate(steps, operator.mul))),
    )


@dataclass(frozen=True)
class Tree:
    """Frame 0 is the root, frame i moves as `motions[i - 1]` says."""

    motions: list[Motion]

    def chain(self, frame: int) -> list[int]:
        """The frame and its ancestors without the root."""
        return [] if frame == 0 else [frame, *self.chain(self.motions[frame - 1].parent)]

    def between(self, a: int, b: int) -> set[int]:
        """The frames whose link to their parent lies on the way from a to b."""
        return set(self.chain(a)) ^ set(self.chain(b))

    def covers(self, a: int, b: int, time_ms: float) -> bool:
        return all(self.motions[frame - 1].covers(time_ms) for frame in self.between(a, b))

    def expected(self, target: int, source: int, time_ms: float) -> np.ndarray:
        """`target_from_source` by way of their lowest common ancestor."""
        links = self.between(target, source)
        top_from = []
        for frame in (target, source):
            pose = np.eye(4)
            for ancestor in self.chain(frame):
                if ancestor in links:
                    pose = self.motions[ancestor - 1].parent_from_child(time_ms) @ pose
            top_from.append(pose)
        return np.linalg.inv(top_from[0]) @ top_from[1]

    def buffer(self, order: np.random.Generator | None = None) -> tf2_py.BufferCore:
        buffer = tf2_py.BufferCore(Duration(seconds=10))
        told = [
            (transform(f"f{motion.parent}", f"f{child}", ms / 1000, xyz, turn.as_quat()), motion.is_static)
            for child, motion in enumerate(self.motions, start=1)
            for ms, xyz, turn in zip(motion.times_ms, motion.translations, motion.rotations, strict=True)
        ]
        if order is not None:
            order.shuffle(told)
        for message, is_static in told:
            (buffer.set_transform_static if is_static else buffer.set_transform)(message, "test")
        return buffer


@st.composite
def trees(draw) -> Tree:
    count = draw(st.integers(1, 6))
    return Tree([draw(motions(parents)) for parents in range(1, count + 1)])


@st.composite
def questions(draw) -> tuple[Tree, int, int, float]:
    """A tree, target, source and a time in milliseconds, often one of the stamps."""
    tree = draw(trees())
    frames = st.integers(0, len(tree.motions))
    stamps = [ms for motion in tree.motions for ms in motion.times_ms]
    time_ms = draw(st.sampled_from(stamps) | TIMES_MS | st.floats(0.5, 1000.5))
    return tree, draw(frames), draw(frames), round(time_ms, 3)


def at_ms(time_ms: float) -> Time:
    return Time(nanoseconds=round(time_ms * 1e6))


@settings(deadline=None)
@given(questions())
def test_lookups_are_products_of_matrices_and_fail_exactly_where_a_link_does_not_cover_the_time(question):
    tree, target, source, time_ms = question
    buffer = tree.buffer()
    query = (f"f{target}", f"f{source}", at_ms(time_ms))
    covered = tree.covers(target, source, time_ms)
    assert buffer.can_transform_core(*query)[0] == covered
    if not covered:
        with pytest.raises(tf2_py.ExtrapolationException, match="would require extrapolation"):
            buffer.lookup_transform_core(*query)
        return
    found = matrix(buffer.lookup_transform_core(*query))
    np.testing.assert_allclose(found, tree.expected(target, source, time_ms), atol=1e-6)
    back = matrix(buffer.lookup_transform_core(query[1], query[0], query[2]))
    np.testing.assert_allclose(found @ back, np.eye(4), atol=1e-9)


@settings(deadline=None, max_examples=50)
@given(questions(), st.data())
def test_a_lookup_is_the_same_by_way_of_any_frame(question, data):
    tree, target, source, time_ms = question
    buffer = tree.buffer()
    way = data.draw(st.integers(0, len(tree.motions)))
    if tree.covers(target, way, time_ms) and tree.covers(way, source, time_ms):
        time = at_ms(time_ms)
        there = matrix(buffer.lookup_transform_core(f"f{target}", f"f{way}", time))
        on = matrix(buffer.lookup_transform_core(f"f{way}", f"f{source}", time))
        direct = matrix(buffer.lookup_transform_core(f"f{target}", f"f{source}", time))
        np.testing.assert_allclose(there @ on, direct, atol=1e-9)


@settings(deadline=None, max_examples=50)
@given(questions(), st.data())
def test_the_advanced_lookup_goes_by_way_of_the_fixed_frame(question, data):
    tree, target, source, time_ms = question
    fixed = data.draw(st.integers(0, len(tree.motions)))
    source_ms = data.draw(TIMES_MS)
    query = (f"f{target}", at_ms(time_ms), f"f{source}", at_ms(source_ms), f"f{fixed}")
    covered = tree.covers(target, fixed, time_ms) and tree.covers(fixed, source, source_ms)
    buffer = tree.buffer()
    assert buffer.can_transform_full_core(*query)[0] == covered
    if covered:
        found = buffer.lookup_transform_full_core(*query)
        expected = tree.expected(target, fixed, time_ms) @ tree.expected(fixed, source, source_ms)
        np.testing.assert_allclose(matrix(found), expected, atol=1e-6)
        assert found.header.stamp == at_ms(time_ms).to_msg()


@settings(deadline=None, max_examples=50)
@given(questions())
def test_time_zero_is_the_oldest_of_the_newest_stamps_between(question):
    tree, target, source, _ = question
    links = [tree.motions[frame - 1] for frame in tree.between(target, source)]
    common_ms = min((motion.times_ms[-1] for motion in links if not motion.is_static), default=0)
    buffer = tree.buffer()
    if target != source:
        common = buffer.get_latest_common_time(f"f{target}", f"f{source}")
        assert common.nanoseconds == common_ms * 1_000_000
    if tree.covers(target, source, common_ms):
        found = buffer.lookup_transform_core(f"f{target}", f"f{source}", Time())
        np.testing.assert_allclose(matrix(found), tree.expected(target, source, common_ms), atol=1e-6)


@settings(deadline=None, max_examples=50)
@given(questions(), st.integers(0, 2**32 - 1))
def test_the_order_of_arrival_does_not_matter(question, seed):
    tree, target, source, time_ms = question
    query = (f"f{target}", f"f{source}", at_ms(time_ms))
    in_order, shuffled = tree.buffer(), tree.buffer(np.random.default_rng(seed))
    possible, _ = in_order.can_transform_core(*query)
    assert shuffled.can_transform_core(*query)[0] == possible
    if possible:
        assert shuffled.lookup_transform_core(*query) == in_order.lookup_transform_core(*query)


def test_interpolation_takes_the_shorter_way_between_any_two_rotations():
    rotations = Rotation.random(50, random_state=np.random.default_rng(0))
    buffer = tf2_py.BufferCore(Duration(seconds=100))
    for second, rotation in enumerate(rotations, start=1):
        buffer.set_transform(transform("a", "b", second, xyzw=rotation.as_quat()), "test")
    slerp = Slerp(np.arange(1, 51), rotations)
    for time_ms in range(1000, 50_001, 250):
        found = matrix(buffer.lookup_transform_core("a", "b", at_ms(time_ms)))
        np.testing.assert_allclose(found[:3, :3], slerp(time_ms / 1000).as_matrix(), atol=1e-8)

"""The TF tree of a recording: who is mounted where, who moved when."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from clip2scene_core.errors import CalibrationError
from clip2scene_core.geometry import SE3
from clip2scene_core.trajectory import Trajectory

EVER = (-(2**63), 2**63 - 1)
"""Times at which a static transform is known."""


class StampedTransform(NamedTuple):
    """The values of one geometry_msgs/TransformStamped: `parent_from_child`."""

    parent: str
    child: str
    stamp_ns: int
    translation_m: tuple[float, float, float]
    quaternion_xyzw: tuple[float, float, float, float]
    static: bool


class TfLink(NamedTuple):
    """One edge of a TF tree, as it was recorded."""

    parent: str
    child: str
    stamps_ns: tuple[int, ...]
    """When `parent_from_child` is known, ascending; empty for a static transform."""


class TfTree:
    """Looks up transforms between any two frames at a time; never changes."""

    def __init__(self, transforms: Iterable[StampedTransform] = ()) -> None:
        """Of a child that has both, the moving transforms count; of static ones, the last."""
        self._parents: dict[str, list[str]] = {}
        self._moving: dict[str, list[StampedTransform]] = {}
        self._trajectories: dict[str, Trajectory] = {}
        self._static: dict[str, StampedTransform] = {}
        for transform in transforms:
            parent, child = _plain(transform.parent), _plain(transform.child)
            parents = self._parents.setdefault(child, [])
            if parent not in parents:
                parents.append(parent)
            if transform.static:
                self._static[child] = transform
            else:
                self._moving.setdefault(child, []).append(transform)

    @property
    def frames(self) -> tuple[str, ...]:
        """Every frame of the tree, in alphabetical order."""
        parents = (parent for parents in self._parents.values() for parent in parents)
        return tuple(sorted({*self._parents, *parents}))

    @property
    def links(self) -> tuple[TfLink, ...]:
        """Every parent and child, sorted; more than one parent of a child where the tree is broken."""
        return tuple(
            TfLink(parent, child, self._stamps_ns(parent, child))
            for parent, child in sorted(
                (p, child) for child, parents in self._parents.items() for p in parents
            )
        )

    def ancestors(self, frame: str) -> list[str]:
        """The frame, its parent, ... up to the root; only the frame itself where nothing is known of it.

        Raises CalibrationError where a frame has two parents or is its own ancestor.
        """
        chain = [_plain(frame)]
        while parents := self._parents.get(chain[-1]):
            if len(parents) > 1:
                raise CalibrationError(f"TF: frame '{chain[-1]}' has several parents: {', '.join(parents)}")
            if parents[0] in chain:
                raise CalibrationError(f"TF: frames {' -> '.join([*chain, parents[0]])} form a loop")
            chain.append(parents[0])
        return chain

    def chain(self, target: str, source: str) -> list[str]:
        """The frames on the way from `source` to `target`, with both. Raises CalibrationError as `lookup`."""
        up, down = self._path(target, source)
        return [*up, self.ancestors(source)[len(up)], *reversed(down)]

    def lookup(self, target: str, source: str, stamp_ns: int) -> SE3:
        """`target_from_source` at a time; moving transforms are interpolated, never extrapolated.

        Raises CalibrationError, naming both frames, where they are not connected or the time lies
        outside what the recording knows.
        """
        first_ns, last_ns = self.coverage(target, source)
        if not first_ns <= stamp_ns <= last_ns:
            raise CalibrationError(
                f"TF: no transform from '{source}' to '{target}' at {_seconds(stamp_ns)}: "
                f"known from {_seconds(first_ns)} to {_seconds(last_ns)}"
            )
        up, down = self._path(target, source)
        return self._chain(down, stamp_ns).inverse() @ self._chain(up, stamp_ns)

    def coverage(self, target: str, source: str) -> tuple[int, int]:
        """First and last time (ns) at which `lookup` knows the answer; EVER for a static one."""
        trajectories = [
            self._trajectory(child)
            for side in self._path(target, source)
            for child in side
            if child in self._moving
        ]
        return (
            max((t.first_ns for t in trajectories), default=EVER[0]),
            min((t.last_ns for t in trajectories), default=EVER[1]),
        )

    def trajectory(self, target: str, source: str) -> Trajectory:
        """`target_from_source` at every time at which one of its transforms is known and `lookup` answers.

        Raises CalibrationError where they are not connected or no time is covered.
        """
        up, down = self._path(target, source)
        try:
            return self._motion(down).inverse() @ self._motion(up)
        except CalibrationError as error:
            raise CalibrationError(f"TF: no transform from '{source}' to '{target}': {error}") from error

    def remounted(self, transforms: Iterable[StampedTransform]) -> TfTree:
        """A tree in which these alone say where their children are."""
        new = list(transforms)
        children = {_plain(transform.child) for transform in new}
        known = [*self._static.values(), *(t for samples in self._moving.values() for t in samples)]
        return TfTree([*(t for t in known if _plain(t.child) not in children), *new])

    def _stamps_ns(self, parent: str, child: str) -> tuple[int, ...]:
        samples = self._moving.get(child, ())
        return tuple(sorted(sample.stamp_ns for sample in samples if _plain(sample.parent) == parent))

    def _path(self, target: str, source: str) -> tuple[list[str], list[str]]:
        """Children on the way from `source` and from `target` up to their common ancestor."""
        up, down = self.ancestors(source), self.ancestors(target)
        common = next((frame for frame in up if frame in down), None)
        if common is None:
            for frame in (target, source):
                if _plain(frame) not in self.frames:
                    raise CalibrationError(
                        f"TF: no transform from '{source}' to '{target}': '{frame}' is not in the tree; "
                        f"it has {', '.join(self.frames) or 'no frames'}"
                    )
            raise CalibrationError(
                f"TF: no transform from '{source}' to '{target}': their trees are not connected, "
                f"the roots are '{up[-1]}' and '{down[-1]}'"
            )
        return up[: up.index(common)], down[: down.index(common)]

    def _chain(self, children: list[str], stamp_ns: int) -> SE3:
        """From the first of `children` to the parent of the last one."""
        pose = SE3.identity()
        for child in children:
            if child in self._moving:
                pose = self._trajectory(child).pose(stamp_ns) @ pose
            else:
                pose = _parent_from_child(self._static[child]) @ pose
        return pose

    def _motion(self, children: list[str]) -> Trajectory:
        """As `_chain`, at all times."""
        motion = Trajectory.standing(SE3.identity())
        for child in children:
            if child in self._moving:
                motion = self._trajectory(child) @ motion
            else:
                motion = Trajectory.standing(_parent_from_child(self._static[child])) @ motion
        return motion

    def _trajectory(self, child: str) -> Trajectory:
        """Of a moving child; made when it is first asked for, since few frames of a robot ever are."""
        if child not in self._trajectories:
            samples = self._moving[child]
            self._trajectories[child] = Trajectory.from_poses(
                [sample.stamp_ns for sample in samples], [_parent_from_child(sample) for sample in samples]
            )
        return self._trajectories[child]


def _parent_from_child(transform: StampedTransform) -> SE3:
    try:
        return SE3.from_quaternion(transform.quaternion_xyzw, transform.translation_m)
    except CalibrationError as error:
        raise CalibrationError(f"TF: the transform of '{_plain(transform.child)}': {error}") from error


def _plain(frame: str) -> str:
    """Old drivers write frames with a leading slash."""
    return frame.removeprefix("/")


def _seconds(stamp_ns: int) -> str:
    return f"{stamp_ns / 1e9:.3f} s"

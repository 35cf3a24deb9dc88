"""The TF tree of a recording: who is mounted where, who moved when."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from clip2scene_core.data.trajectory import Trajectory
from clip2scene_core.errors import CalibrationError
from clip2scene_core.geometry import SE3

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


@dataclass(slots=True)
class _Samples:
    """What was said about one child, in the order of the recording."""

    stamps_ns: list[int] = field(default_factory=list)
    quaternions: list[tuple] = field(default_factory=list)
    translations: list[tuple] = field(default_factory=list)

    def add(self, transform: StampedTransform) -> None:
        self.stamps_ns.append(transform.stamp_ns)
        self.quaternions.append(transform.quaternion_xyzw)
        self.translations.append(transform.translation_m)


class TfTree:
    """Looks up transforms between any two frames at a time; never changes."""

    def __init__(self, transforms: Iterable[StampedTransform] = ()) -> None:
        """Of a child that has both, the moving transforms count; of static ones, the last."""
        self._parents: dict[str, list[str]] = {}
        moving: dict[str, _Samples] = {}
        static: dict[str, StampedTransform] = {}
        for transform in transforms:
            parent, child = _plain(transform.parent), _plain(transform.child)
            parents = self._parents.setdefault(child, [])
            if parent not in parents:
                parents.append(parent)
            if transform.static:
                static[child] = transform
            else:
                moving.setdefault(child, _Samples()).add(transform)
        self._static = static
        self._moving = {
            child: Trajectory.from_samples(samples.stamps_ns, samples.quaternions, samples.translations)
            for child, samples in moving.items()
        }

    @property
    def frames(self) -> tuple[str, ...]:
        parents = (parent for parents in self._parents.values() for parent in parents)
        return tuple(sorted({*self._parents, *parents}))

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
            self._moving[child]
            for side in self._path(target, source)
            for child in side
            if child in self._moving
        ]
        return (
            max((t.first_ns for t in trajectories), default=EVER[0]),
            min((t.last_ns for t in trajectories), default=EVER[1]),
        )

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
            pose = self._parent_from(child, stamp_ns) @ pose
        return pose

    def _parent_from(self, child: str, stamp_ns: int) -> SE3:
        try:
            if child in self._moving:
                return self._moving[child].at(stamp_ns)
            transform = self._static[child]
            return SE3.from_quaternion(transform.quaternion_xyzw, transform.translation_m)
        except CalibrationError as error:
            raise CalibrationError(f"TF: the transform of '{child}': {error}") from error


def _plain(frame: str) -> str:
    """Old drivers write frames with a leading slash."""
    return frame.removeprefix("/")


def _seconds(stamp_ns: int) -> str:
    return f"{stamp_ns / 1e9:.3f} s"

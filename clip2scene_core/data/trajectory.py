"""A moving frame: poses over time, interpolated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from clip2scene_core.geometry import SE3


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Trajectory:
    """T poses of one frame in another, T > 0."""

    stamps_ns: np.ndarray
    """(T,) int64, ascending."""
    quaternions_xyzw: np.ndarray
    """(T, 4) float64."""
    translations_m: np.ndarray
    """(T, 3) float64."""

    @classmethod
    def from_samples(
        cls, stamps_ns: Sequence[int], quaternions_xyzw: Sequence, translations_m: Sequence
    ) -> Trajectory:
        """From samples in any order."""
        stamps = np.asarray(stamps_ns, np.int64)
        order = np.argsort(stamps, kind="stable")
        return cls(
            stamps_ns=stamps[order],
            quaternions_xyzw=np.asarray(quaternions_xyzw, np.float64)[order],
            translations_m=np.asarray(translations_m, np.float64)[order],
        )

    @classmethod
    def from_poses(cls, stamps_ns: Sequence[int], poses: Sequence[SE3]) -> Trajectory:
        return cls.from_samples(
            stamps_ns, [pose.quaternion_xyzw() for pose in poses], [pose.translation for pose in poses]
        )

    @property
    def first_ns(self) -> int:
        return int(self.stamps_ns[0])

    @property
    def last_ns(self) -> int:
        return int(self.stamps_ns[-1])

    def at(self, stamp_ns: int) -> SE3:
        """The pose at a time; before the first sample and after the last one, that sample."""
        after = int(np.searchsorted(self.stamps_ns, stamp_ns, side="right"))
        before = max(after - 1, 0)
        pose = self._sample(before)
        if after == before or after == len(self.stamps_ns) or self.stamps_ns[before] == stamp_ns:
            return pose
        step_ns = self.stamps_ns[after] - self.stamps_ns[before]
        return pose.interpolate(self._sample(after), float((stamp_ns - self.stamps_ns[before]) / step_ns))

    def _sample(self, index: int) -> SE3:
        return SE3.from_quaternion(self.quaternions_xyzw[index], self.translations_m[index])

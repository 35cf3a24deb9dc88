"""Motion of a rigid body over time: the ego vehicle, its sensors and everything else that moves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation, Slerp

from clip2scene_core.geometry import SE3


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Trajectory:
    """Poses world_from_body at increasing times; between them slerp and linear, outside the nearest one."""

    times_ns: np.ndarray
    """(T,) int64."""
    rotations: np.ndarray
    """(T, 3, 3) float64."""
    translations: np.ndarray
    """(T, 3) float64, metres."""

    @classmethod
    def of_poses(cls, times_ns: Sequence[int], poses: Sequence[SE3]) -> Trajectory:
        """From one pose per time."""
        return cls(
            times_ns=np.asarray(times_ns, np.int64),
            rotations=np.stack([p.rotation for p in poses]),
            translations=np.stack([p.translation for p in poses]),
        )

    @classmethod
    def standing(cls, pose: SE3) -> Trajectory:
        """The same pose at all times."""
        return cls.of_poses([0], [pose])

    def at(self, times_ns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Rotations (Q, 3, 3) and translations (Q, 3) at times (Q,)."""
        times_ns = np.clip(np.asarray(times_ns, np.int64), self.times_ns[0], self.times_ns[-1])
        if len(self.times_ns) == 1:
            count = len(times_ns)
            return np.repeat(self.rotations, count, axis=0), np.repeat(self.translations, count, axis=0)
        since_s = (self.times_ns - self.times_ns[0]) * 1e-9
        query_s = (times_ns - self.times_ns[0]) * 1e-9
        first, last = np.searchsorted(since_s, query_s[[0, -1]] if _ordered(query_s) else _span(query_s))
        piece = slice(max(first - 1, 0), min(last + 2, len(since_s)))
        rotations = Slerp(since_s[piece], Rotation.from_matrix(self.rotations[piece]))(query_s).as_matrix()
        translations = np.stack([np.interp(query_s, since_s, axis) for axis in self.translations.T], axis=1)
        return rotations, translations

    def pose(self, time_ns: int) -> SE3:
        """world_from_body at one time."""
        rotations, translations = self.at(np.array([time_ns]))
        return SE3.from_rotation_translation(rotations[0], translations[0])

    def mounted(self, body_from_sensor: SE3) -> Trajectory:
        """The trajectory of something fixed to this body."""
        return Trajectory(
            times_ns=self.times_ns,
            rotations=self.rotations @ body_from_sensor.rotation,
            translations=self.rotations @ body_from_sensor.translation + self.translations,
        )


def _ordered(values: np.ndarray) -> bool:
    return bool(len(values) < 2 or (np.diff(values) >= 0).all())


def _span(values: np.ndarray) -> np.ndarray:
    return np.array([values.min(), values.max()])

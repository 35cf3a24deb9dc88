"""Motion of a rigid body over time: vehicles, their sensors and everything else that moves.

Shapes: T known poses, Q times asked for.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from clip2scene_core.errors import CalibrationError
from clip2scene_core.geometry import SE3


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Trajectory:
    """Poses world_from_body, T > 0; between their times slerp and linear, outside the nearest one."""

    stamps_ns: np.ndarray
    """(T,) int64, each later than the one before."""
    rotations: np.ndarray
    """(T, 3, 3) float64."""
    translations: np.ndarray
    """(T, 3) float64, metres."""

    @classmethod
    def from_poses(cls, stamps_ns: Iterable[int], poses: Iterable[SE3]) -> Trajectory:
        """From one pose per time, in any order; of several at the same time the last counts."""
        by_stamp = dict(zip(stamps_ns, poses, strict=True))
        stamps = sorted(by_stamp)
        return cls(
            stamps_ns=np.array(stamps, np.int64),
            rotations=np.stack([by_stamp[stamp].rotation for stamp in stamps]),
            translations=np.stack([by_stamp[stamp].translation for stamp in stamps]),
        )

    @classmethod
    def standing(cls, pose: SE3) -> Trajectory:
        """The same pose at all times."""
        return cls.from_poses([0], [pose])

    @property
    def first_ns(self) -> int:
        """Time of the first pose."""
        return int(self.stamps_ns[0])

    @property
    def last_ns(self) -> int:
        """Time of the last pose."""
        return int(self.stamps_ns[-1])

    def at(self, times_ns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Rotations (Q, 3, 3) and translations (Q, 3) at times (Q,)."""
        if len(self.stamps_ns) == 1:
            count = len(times_ns)
            return np.repeat(self.rotations, count, axis=0), np.repeat(self.translations, count, axis=0)
        before, fraction = self._between(times_ns)
        first = before.min()
        start, end = self.rotations[first : before.max() + 1], self.rotations[first + 1 : before.max() + 2]
        turn = Rotation.from_matrix(np.swapaxes(start, 1, 2) @ end).as_rotvec()[before - first]
        rotations = self.rotations[before] @ _rotations(fraction[:, None] * turn)
        return rotations, self.positions(times_ns)

    def positions(self, times_ns: np.ndarray) -> np.ndarray:
        """(Q, 3) translations at times (Q,)."""
        if len(self.stamps_ns) == 1:
            return np.repeat(self.translations, len(times_ns), axis=0)
        before, fraction = self._between(times_ns)
        start = self.translations[before]
        return start + fraction[:, None] * (self.translations[before + 1] - start)

    def _between(self, times_ns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The sample before each time, and how far (0..1) it is to the next one."""
        times_ns = np.clip(np.asarray(times_ns, np.int64), self.stamps_ns[0], self.stamps_ns[-1])
        before = np.clip(
            np.searchsorted(self.stamps_ns, times_ns, side="right") - 1, 0, len(self.stamps_ns) - 2
        )
        step_ns = self.stamps_ns[before + 1] - self.stamps_ns[before]
        return before, (times_ns - self.stamps_ns[before]) / step_ns

    def pose(self, time_ns: int) -> SE3:
        """world_from_body at one time."""
        rotations, translations = self.at(np.array([time_ns]))
        return SE3.from_rotation_translation(rotations[0], translations[0])

    def inverse(self) -> Trajectory:
        """body_from_world at the same times."""
        rotations = np.swapaxes(self.rotations, 1, 2)
        translations = -(rotations @ self.translations[:, :, None])[:, :, 0]
        return Trajectory(stamps_ns=self.stamps_ns, rotations=rotations, translations=translations)

    def __matmul__(self, other: Trajectory) -> Trajectory:
        """world_from_sensor of this world_from_body and `other`, body_from_sensor.

        Known wherever one of them is, at times when both are; one with a single pose has it always.
        Raises CalibrationError where they have no time in common.
        """
        moving = [trajectory for trajectory in (self, other) if len(trajectory.stamps_ns) > 1]
        stamps_ns = np.unique(np.concatenate([t.stamps_ns for t in moving or [self]]))
        for trajectory in moving:
            stamps_ns = stamps_ns[(stamps_ns >= trajectory.first_ns) & (stamps_ns <= trajectory.last_ns)]
        if not len(stamps_ns):
            raise CalibrationError("two motions that follow from each other are known at different times")
        rotations, translations = self.at(stamps_ns)
        sensor_rotations, sensor_translations = other.at(stamps_ns)
        return Trajectory(
            stamps_ns=stamps_ns,
            rotations=rotations @ sensor_rotations,
            translations=(rotations @ sensor_translations[:, :, None])[:, :, 0] + translations,
        )

    def mounted(self, body_from_sensor: SE3) -> Trajectory:
        """The trajectory of something fixed to this body."""
        return Trajectory(
            stamps_ns=self.stamps_ns,
            rotations=self.rotations @ body_from_sensor.rotation,
            translations=self.rotations @ body_from_sensor.translation + self.translations,
        )


def _rotations(vectors: np.ndarray) -> np.ndarray:
    """(Q, 3, 3) rotation matrices of rotation vectors (Q, 3): Rodrigues' formula."""
    angle = np.linalg.norm(vectors, axis=1)
    x, y, z = (vectors / np.maximum(angle, 1e-12)[:, None]).T
    zero = np.zeros(len(angle))
    cross = np.stack([zero, -z, y, z, zero, -x, -y, x, zero], axis=1).reshape(-1, 3, 3)
    sine, versine = np.sin(angle)[:, None, None], (1 - np.cos(angle))[:, None, None]
    return np.eye(3) + sine * cross + versine * (cross @ cross)

"""Where the LiDAR of a bag was when: by TF, by odometry or poses that were recorded, or from its scans."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from clip2scene_core.data.bag_index import BagIndex, Stream
from clip2scene_core.data.tf_tree import EVER, TfTree
from clip2scene_core.errors import CalibrationError, ConfigError, DataError
from clip2scene_core.geometry import SE3
from clip2scene_core.stamps import NS_PER_S
from clip2scene_core.trajectory import Trajectory

WORLD_FRAMES = ("odom", "map")
"""Of REP 105; odom first, since map may jump."""

BODY_FRAMES = ("base_link", "base_footprint")
"""Of REP 105: what moves in them, such as a tilting LiDAR, does not tell how the robot moves."""

LONGEST_GAP_S = 1.0
"""Poses that come less often on average are goals and the like."""

LEAST_KNOWN = 0.5
"""Share of the scans at whose time a topic must have poses to be taken unasked."""

FromScans = Callable[..., tuple[Trajectory, str]]
"""motion_from_scans of the scans of the bag, still to be told `because` and `wanted`."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class EgoMotion:
    """Where the LiDAR is."""

    world_from_lidar: Trajectory
    fixed_frame: str
    """The world."""
    coverage_ns: tuple[int, int]
    """First and last time at which the pose is known; EVER where it is always the same."""
    whence: str
    """tf, the topic, kiss-icp or none, as `find` understands it."""

    @property
    def moves(self) -> bool:
        """Whether the recording tells how the LiDAR moves, which poses of a standing robot do too."""
        return len(self.world_from_lidar.stamps_ns) > 1


class MotionFinder:
    """Looks for the motion of the LiDAR in what a bag holds."""

    def __init__(
        self, index: BagIndex, scans: Stream, fixed_frame: str | None, from_scans: FromScans
    ) -> None:
        """`fixed_frame` names the world in TF; None for odom, map or the root, as the LiDAR moves in it."""
        self._poses = index.poses
        self._tf = index.tf
        self._scans_ns = scans.stamps_ns()
        self._lidar = scans.frame_id
        self._from_scans = from_scans
        self._fixed_frame = fixed_frame or self._world_of_tf()
        self.notes: list[str] = []
        """Where motion comes from, unless from TF, and what was of no use."""

    def find(self, wanted: str | None) -> EgoMotion:
        """None takes the first that knows motion of TF, topics with poses, and KISS-ICP over the scans.

        `tf` stands for the poses in TF, even if always the same; `/TOPIC` for those of an Odometry,
        PoseStamped or PoseWithCovarianceStamped; `none` for the same pose at all times.

        Raises ConfigError for anything else, DataError for a topic that has no poses, CalibrationError for
        poses that cannot be related to the LiDAR; for `kiss-icp` as estimate_motion.
        """
        if wanted is None:
            return self._first_that_moves()
        if wanted == "tf":
            return self._of_tf()
        if wanted == "kiss-icp":
            return self._of_scans("as asked for", wanted=True)
        if wanted == "none":
            self.notes.append("as asked for, all scans have the same pose")
            return self._at_rest(Trajectory.standing(SE3.identity()), EVER, "none")
        if wanted.startswith("/"):
            motion = self._of_topic(wanted)
            doubt = self._doubt(wanted, motion)
            self.notes.append(f"as asked for: {self._whence(wanted)}" + (f"; {doubt}" if doubt else ""))
            return motion
        raise ConfigError(f"ego_motion must be tf, kiss-icp, none or a /topic of the bag, got '{wanted}'")

    def _first_that_moves(self) -> EgoMotion:
        if self._moves_in(self._fixed_frame):
            return self._of_tf()
        usable: dict[str, EgoMotion] = {}
        for topic in sorted(self._poses, key=lambda t: (not self._poses[t][0].child, -len(self._poses[t]))):
            try:
                motion = self._of_topic(topic)
                doubt = self._doubt(topic, motion)
            except CalibrationError as error:
                doubt = str(error)
            if doubt:
                self.notes.append(f"no ego motion from {doubt}")
            else:
                usable[topic] = motion
        if not usable:
            return self._of_scans(f"TF does not say how '{self._lidar}' moves", wanted=False)
        first, *others = usable
        choice = f"; for another one: ego_motion={' or '.join(others)}" if others else ""
        self.notes.append(f"TF does not say how '{self._lidar}' moves: {self._whence(first)}{choice}")
        return usable[first]

    def _world_of_tf(self) -> str:
        """A frame above the LiDAR; one in which it moves, if there is one."""
        chain = self._tf.ancestors(self._lidar)
        worlds = [frame for frame in (*WORLD_FRAMES, chain[-1]) if frame in chain]
        return next((frame for frame in worlds if self._moves_in(frame)), worlds[0])

    def _moves_in(self, frame: str) -> bool:
        return frame not in BODY_FRAMES and self._tf.coverage(frame, self._lidar) != EVER

    def _of_tf(self) -> EgoMotion:
        coverage_ns = self._tf.coverage(self._fixed_frame, self._lidar)
        if coverage_ns == EVER:
            self.notes.append(
                f"TF does not say how '{self._lidar}' moves: all scans have the same pose in "
                f"'{self._fixed_frame}'"
            )
        return EgoMotion(
            world_from_lidar=self._tf.trajectory(self._fixed_frame, self._lidar),
            fixed_frame=self._fixed_frame,
            coverage_ns=coverage_ns,
            whence="tf",
        )

    def _of_scans(self, because: str, *, wanted: bool) -> EgoMotion:
        motion, note = self._from_scans(because=because, wanted=wanted)
        self.notes.append(note)
        moves = len(motion.stamps_ns) > 1
        return self._at_rest(motion, (motion.first_ns, motion.last_ns) if moves else EVER, "kiss-icp")

    def _at_rest(self, first_from_lidar: Trajectory, coverage_ns: tuple[int, int], whence: str) -> EgoMotion:
        """Motion since the first scan, when the world was the frame of TF that the LiDAR is fixed to."""
        fixed = self._fixed_frame
        if self._tf.coverage(fixed, self._lidar) != EVER:
            fixed = self._lidar
        mounting = Trajectory.standing(self._tf.lookup(fixed, self._lidar, 0))
        return EgoMotion(
            world_from_lidar=mounting @ first_from_lidar,
            fixed_frame=fixed,
            coverage_ns=coverage_ns,
            whence=whence,
        )

    def _of_topic(self, topic: str) -> EgoMotion:
        if topic not in self._poses:
            raise DataError(
                f"the bag has no poses on {topic}; topics that have are {', '.join(self._poses) or 'none'}"
            )
        world, body = self._poses[topic][0].parent, self._body_of(topic)
        poses = TfTree([pose._replace(child=body) for pose in self._poses[topic]])
        try:
            known = poses.coverage(world, body), self._tf.coverage(body, self._lidar)
            world_from_lidar = poses.trajectory(world, body) @ self._tf.trajectory(body, self._lidar)
        except CalibrationError as error:
            raise CalibrationError(
                f"{topic}: {error}; calibration=FILE can say how '{self._lidar}' is mounted in '{body}'"
            ) from error
        return EgoMotion(
            world_from_lidar=world_from_lidar,
            fixed_frame=world,
            coverage_ns=(max(first for first, _ in known), min(last for _, last in known)),
            whence=topic,
        )

    def _body_of(self, topic: str) -> str:
        """Whose pose it is; PoseStamped does not say."""
        return self._poses[topic][0].child or "base_link"

    def _whence(self, topic: str) -> str:
        pose = self._poses[topic][0]
        assumed = "" if pose.child else ", which is assumed"
        return f"ego motion from {topic}, the pose of '{self._body_of(topic)}'{assumed} in '{pose.parent}'"

    def _doubt(self, topic: str, motion: EgoMotion) -> str:
        """Why these poses do not tell how the robot moved over the time of the bag; empty where they do."""
        poses, (first_ns, last_ns) = self._poses[topic], motion.coverage_ns
        known = (self._scans_ns >= first_ns) & (self._scans_ns <= last_ns)
        moved = motion.world_from_lidar
        if poses[0].parent in (*BODY_FRAMES, self._lidar):
            return f"{topic}: its poses are given in '{poses[0].parent}', which moves with the robot"
        if known.mean() < LEAST_KNOWN:
            return f"{topic}: it has poses at the time of {known.sum()} of {len(known)} scans"
        if last_ns - first_ns > LONGEST_GAP_S * NS_PER_S * (len(poses) - 1):
            return f"{topic}: {len(poses)} poses in {(last_ns - first_ns) / NS_PER_S:.0f} s are too few"
        if not np.ptp(moved.translations, axis=0).any() and not np.ptp(moved.rotations, axis=0).any():
            return f"{topic}: its pose never changes, is it filled in?"
        return ""

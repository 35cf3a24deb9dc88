"""What is known of a bag: values that `clip2scene inspect` shows and writes as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicReport:
    """One topic."""

    name: str
    type: str
    messages: int
    rate_hz: float = 0.0
    """0 for fewer than two messages."""
    longest_gap_s: float = 0.0
    """Between a message and the next one."""
    header_minus_recorded_ms: float | None = None
    """Median; None where the headers have no time."""
    frame_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkReport:
    """One edge of the TF tree."""

    parent: str
    child: str
    static: bool
    rate_hz: float = 0.0
    span_s: float = 0.0
    """From the first to the last moving transform."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LidarReport:
    """The clouds of one topic."""

    topic: str
    frame_id: str
    points_per_scan: float
    intensity: bool
    ring: bool
    point_times: bool
    notes: tuple[str, ...] = ()
    """What in the first cloud has no meaning, or why it cannot be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraReport:
    """One camera."""

    name: str
    topic: str
    """Of the images."""
    info_topic: str
    camera_info: str
    """yes, no or uncalibrated."""
    width: int | None = None
    height: int | None = None
    model: str | None = None
    scans_with_image: float | None = None
    """Share of the scans with an image near in time and with a known pose; None where it is left out."""
    image_offset_ms: float | None = None
    """From a scan to the image nearest in time, median over all scans."""
    largest_offset_ms: float | None = None
    """The largest of the scans that have an image."""
    chain: tuple[str, ...] = ()
    """TF frames from the LiDAR's to the camera's."""
    points_seen: float | None = None
    """Share of the LiDAR's points that lie in the image, as far as a few frames tell."""
    problem: str = ""
    """Why it is left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MotionReport:
    """How the LiDAR moves."""

    whence: str
    """tf, a topic, kiss-icp or none."""
    fixed_frame: str
    chain: tuple[str, ...] = ()
    """TF frames from the fixed one to the LiDAR's, where motion is from TF."""
    moves: bool
    """Whether the recording tells how it moves."""
    scans_recorded: int
    scans_usable: int
    """Those with a time of their own at which the pose is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One line of a verdict, with the remedy where something is missing."""

    fine: bool
    text: str
    fatal: bool = False
    """Whether nothing works before it is mended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BagReport:
    """Everything about one bag."""

    path: str
    topics: tuple[TopicReport, ...]
    tf: tuple[LinkReport, ...]
    points_topic: str | None = None
    """Of the main LiDAR; None where the bag cannot be read as frames."""
    lidars: tuple[LidarReport, ...] = ()
    cameras: tuple[CameraReport, ...] = ()
    points_seen: float | None = None
    """Share of the LiDAR's points that lie in any image; None without images."""
    scans_with_image: int = 0
    """Usable scans with an image of any camera near in time and with a known pose."""
    image_slop_ms: float | None = None
    """How near in time that is."""
    motion: MotionReport | None = None
    labels: str | None = None
    """The label set of the labels in the clouds."""
    refusal: str = ""
    """Why the bag cannot be read as frames."""
    clock_notes: Mapping[str, str] = field(default_factory=dict)
    """Why images or transforms of a topic may not fit the scans."""
    accepted_clocks: tuple[str, ...] = ()
    """Topics for which the user has said how their clock is off."""
    notes: tuple[str, ...] = ()
    node: tuple[Finding, ...] = ()
    """What the node `segment` finds in the bag, and what it misses."""
    node_command: str | None = None
    """How to start it for this bag."""
    training: tuple[Finding, ...] = ()
    """What training finds in the bag, and what it misses."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)

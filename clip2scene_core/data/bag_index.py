"""What a bag holds, found in one pass over it."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from clip2scene_core.data.bag_file import Position
from clip2scene_core.data.bag_reader import BagReader, Entry, Recorded
from clip2scene_core.data.bag_times import (
    LARGEST_SHARE_OFF,
    LATE_NS,
    POST_DATED_NS,
    Stretch,
    TopicTimes,
    Track,
    TrackBuilder,
    another_clock_ns,
    in_order,
    share_off_clock,
    with_stamps,
)
from clip2scene_core.data.ros_types import (
    CAMERA_INFO,
    CLOUD,
    COMPRESSED_IMAGE,
    IMAGE,
    LABEL_INFO,
    POSE,
    POSES,
    TRANSFORMS,
)
from clip2scene_core.data.tf_tree import StampedTransform, TfTree
from clip2scene_core.errors import DataError
from clip2scene_core.stamps import stamp_ns_of


@dataclass(slots=True, eq=False)
class Stream:
    """The messages of one topic with a header."""

    topic: str
    frame_id: str = ""
    """Of the first message."""
    points: int = 0
    """Of all clouds together."""
    entries: list[Entry] = field(default_factory=list)
    """In the order of their stamps, which are all different."""

    def stamps_ns(self) -> np.ndarray:
        """(M,) int64."""
        return np.array([entry.stamp_ns for entry in self.entries], np.int64)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BagIndex:
    """Everything by topic; topics without a message are not here."""

    clouds: dict[str, Stream]
    images: dict[str, Stream]
    camera_infos: dict[str, Any]
    """The first CameraInfo."""
    label_infos: dict[str, Any]
    """The first LabelInfo."""
    tf: TfTree
    poses: dict[str, list[StampedTransform]]
    """Of topics that may tell where the robot is; `child` is empty where they do not say whose pose it is."""
    topics: dict[str, TopicTimes]
    """Of the topics that were read, as they were recorded."""
    notes: tuple[str, ...]
    """What is odd about the times, and what was done about it; one line each."""
    clock_notes: dict[str, str]
    """Those of `notes` that say why images or transforms of a topic may not fit the scans."""


def index_bag(
    bag: BagReader,
    *,
    points_topic: str | None = None,
    label_info_topic: str | None = None,
    with_images: bool = True,
    clock_offset_ms: Mapping[str, float] | None = None,
    align_clocks: bool = False,
    stretch: int = 0,
    all_topics: bool = False,
) -> BagIndex:
    """Reads the bag once: headers of clouds and images, all of TF, the first CameraInfo and LabelInfo.

    Times are those of the headers, later by `clock_offset_ms` where it names the topic. `align_clocks`
    moves topics whose clock is not that of the cloud with most points by the difference, as the times
    of recording tell it. Where time goes back, one `stretch` (from 1; 0: the longest) is taken. With
    `all_topics`, `BagIndex.topics` has those that nobody else needs, too.

    Raises DataError where the bag lacks a topic that was named, or has no cloud.
    """
    clouds = _topics(bag, CLOUD, points_topic)
    if not clouds:
        reasons = "".join(f"; {note}" for note in bag.notes)
        raise DataError(
            f"{bag.path} has no PointCloud2; its topics are {', '.join(bag.types) or 'none'}{reasons}"
        )
    offsets_ms = clock_offset_ms or {}
    if unknown := [topic for topic in offsets_ms if topic not in bag.types]:
        raise DataError(
            f"{bag.path} has no topic '{unknown[0]}' for clock_offset_ms; it has {', '.join(bag.types)}"
        )
    images = _image_topics(bag) if with_images else []
    infos = bag.topics(CAMERA_INFO) if with_images else []
    labels = _topics(bag, LABEL_INFO, label_info_topic)
    found = _Found(bag, [*clouds, *images], [*infos, *labels])
    found.read(bag.types if all_topics else ())
    settled = _Settled(found.tracks())
    settled.shift(offsets_ms)
    densest = max(clouds, key=lambda topic: found.points[topic])
    if densest in settled.tracks:
        settled.choose_stretch(densest, stretch)
        settled.compare_clocks(densest, align=align_clocks)
    streams = {
        topic: _stream(settled.in_order(topic), found)
        for topic in [*clouds, *images]
        if topic in settled.tracks
    }
    return BagIndex(
        clouds={topic: streams[topic] for topic in clouds if topic in streams},
        images={topic: streams[topic] for topic in images if topic in streams},
        camera_infos={topic: found.first[topic] for topic in infos if found.first.get(topic)},
        label_infos={topic: found.first[topic] for topic in labels if found.first.get(topic)},
        tf=TfTree([*found.static(settled.end_ns), *settled.transforms()]),
        poses={topic: list(settled.poses(topic)) for topic in found.posed if topic in settled.tracks},
        topics=found.topics(),
        notes=(*settled.notes, *settled.clock_notes.values()),
        clock_notes=settled.clock_notes,
    )


def topics_and_tf(bag: BagReader) -> tuple[dict[str, TopicTimes], TfTree]:
    """All topics that have a message, and TF as recorded: of any bag, even one without clouds."""
    found = _Found(bag, [], [])
    found.read(bag.types)
    settled = _Settled(found.tracks())
    return found.topics(), TfTree([*found.static(settled.end_ns), *settled.transforms()])


class _Found:
    """What one pass over a bag finds."""

    def __init__(self, bag: BagReader, streams: Sequence[str], once: Sequence[str]) -> None:
        self._bag = bag
        self._streams = frozenset(streams)
        self._once = frozenset(once)
        self._transforms = frozenset(bag.topics(TRANSFORMS))
        self.posed = tuple(topic for kind in POSES for topic in bag.topics(kind))
        """Topics that may tell where the robot is."""
        self._messages: dict[str, TrackBuilder[Position]] = {}
        self._moving: dict[str, TrackBuilder[StampedTransform]] = {}
        """Moving transforms by topic and frame, poses by topic."""
        self._static: list[tuple[int, StampedTransform]] = []
        self.first: dict[str, Any] = {}
        """The first message of topics of which no more is needed; None where all are damaged."""
        self.frames: dict[str, dict[str, None]] = {}
        """The frames in the headers of each topic, that of the first message first."""
        self.points: Counter[str] = Counter()
        """Of all messages of each stream of clouds."""

    def read(self, others: Collection[str]) -> None:
        """`others` are topics of which only the times matter."""
        topics = {*self._streams, *self._once, *self._transforms, *self.posed, *others}
        with_header = {topic for topic in topics if topic in self._streams or self._bag.has_header(topic)}
        for recorded in self._bag.find(topics):
            topic, stamp_ns = recorded.topic, 0
            if topic in with_header:
                header = self._bag.header(recorded)
                if header is None:
                    continue
                stamp_ns = header.stamp_ns
                self.frames.setdefault(topic, {})[header.frame_id] = None
                if topic in self._streams:
                    self.points[topic] += header.points if self._bag.types[topic] == CLOUD else 0
            if topic in self._transforms:
                stamp_ns = self._add_transforms(recorded)
            elif topic in self.posed:
                self._add_pose(recorded)
            elif topic in self._once and self.first.get(topic) is None:
                self.first[topic] = self._bag.load(recorded)
            position = recorded.position if topic in self._streams else ()
            self._messages.setdefault(topic, TrackBuilder(topic)).add(stamp_ns, recorded.logged_ns, position)

    def tracks(self) -> dict[str, Track[Any]]:
        """Of streams and poses by topic, of moving transforms by topic and frame; each with a message."""
        recordings: dict[str, TrackBuilder[Any]] = {**self._messages, **self._moving}
        return {
            name: recording.track()
            for name, recording in recordings.items()
            if name in self._streams or name in self._moving
        }

    def static(self, end_ns: int) -> Iterator[StampedTransform]:
        """Static transforms that were recorded before a time."""
        return (transform for logged_ns, transform in self._static if logged_ns < end_ns)

    def topics(self) -> dict[str, TopicTimes]:
        return {
            topic: TopicTimes.of(messages.track(), self._bag.types[topic], self.frames.get(topic, ()))
            for topic, messages in sorted(self._messages.items())
        }

    def _add_pose(self, recorded: Recorded) -> None:
        if message := self._bag.load(recorded):
            pose = _stamped_pose(message, self._bag.types[recorded.topic])
            posed = self._moving.setdefault(recorded.topic, TrackBuilder(recorded.topic))
            posed.add(pose.stamp_ns, recorded.logged_ns, pose)

    def _add_transforms(self, recorded: Recorded) -> int:
        """The stamp of the first one, 0 where there is none."""
        message, stamps_ns = self._bag.load(recorded), []
        for transform in _transforms(message, static=recorded.topic.endswith("tf_static")) if message else ():
            stamps_ns.append(transform.stamp_ns)
            if transform.static:
                self._static.append((recorded.logged_ns, transform))
            else:
                name = f"{recorded.topic} of '{transform.child}'"
                moving = self._moving.setdefault(name, TrackBuilder(recorded.topic))
                moving.add(transform.stamp_ns, recorded.logged_ns, transform)
        return stamps_ns[0] if stamps_ns else 0


class _Settled:
    """Tracks by name, made to agree on the time; each method does one step."""

    def __init__(self, tracks: Mapping[str, Track[Any]]) -> None:
        """Every message gets a stamp."""
        self.tracks: dict[str, Track[Any]] = {}
        """Streams and poses by topic, moving transforms by topic and frame."""
        self.notes: list[str] = []
        self.clock_notes: dict[str, str] = {}
        """By topic."""
        self.end_ns = sys.maxsize
        """When what is read had been recorded."""
        for name, track in tracks.items():
            self.tracks[name], notes = with_stamps(track, name)
            self.notes += notes

    def shift(self, offsets_ms: Mapping[str, float]) -> None:
        for name, track in self.tracks.items():
            self.tracks[name] = track.shifted(round(offsets_ms.get(track.topic, 0.0) * 1e6))

    def choose_stretch(self, reference: str, wanted: int) -> None:
        stretch = Stretch(self.tracks[reference], wanted)
        self.notes += stretch.notes
        self.end_ns = stretch.end_ns
        kept = {name: stretch.of(track) for name, track in self.tracks.items()}
        self.tracks = {name: track for name, track in kept.items() if len(track.stamps_ns)}

    def compare_clocks(self, reference: str, *, align: bool) -> None:
        base, corrected = self.tracks[reference], dict[str, str]()
        for name, track in self.tracks.items():
            topic, tolerance_ns = track.topic, LATE_NS if name == track.topic else POST_DATED_NS
            ahead_ns = another_clock_ns(track, base, tolerance_ns)
            if ahead_ns and align:
                self.tracks[name] = track.shifted(-ahead_ns)
                corrected.setdefault(topic, f"{_clock_note(topic, reference, ahead_ns)}, which is corrected")
            elif ahead_ns:
                self.clock_notes.setdefault(
                    topic,
                    f"{_clock_note(topic, reference, ahead_ns)}: late messages, or another clock, which "
                    f"clock_offset_ms={topic}:{-ahead_ns / 1e6:.0f} or align_clocks=true corrects",
                )
            elif (jumped := share_off_clock(track, base, tolerance_ns)) > LARGEST_SHARE_OFF:
                self.clock_notes.setdefault(
                    topic,
                    f"by the times of recording, {topic} is {tolerance_ns / 1e9:g} s or more off "
                    f"{reference} for {jumped:.0%} of its messages: late messages, or a clock that jumps",
                )
        self.notes += corrected.values()

    def in_order(self, name: str) -> Track[Any]:
        track, notes = in_order(self.tracks[name], name)
        self.notes += notes
        return track

    def transforms(self) -> Iterator[StampedTransform]:
        """The moving ones, with their stamps."""
        for name, track in self.tracks.items():
            if name != track.topic:
                yield from _stamped(track)

    def poses(self, topic: str) -> Iterator[StampedTransform]:
        """Those of one topic, with their stamps."""
        return _stamped(self.tracks[topic])


def _stamped(track: Track[StampedTransform]) -> Iterator[StampedTransform]:
    for item, stamp_ns in zip(track.items, track.stamps_ns.tolist(), strict=True):
        yield item if item.stamp_ns == stamp_ns else item._replace(stamp_ns=stamp_ns)


def _clock_note(topic: str, reference: str, ahead_ns: int) -> str:
    """The difference to a millisecond; latencies make it uncertain by more."""
    where = "ahead of" if ahead_ns > 0 else "behind"
    return f"by the times of recording, {topic} is {abs(ahead_ns) / 1e9:.3f} s {where} {reference}"


def _stream(track: Track[Position], found: _Found) -> Stream:
    columns = track.stamps_ns.tolist(), track.logged_ns.tolist(), track.items
    return Stream(
        topic=track.topic,
        frame_id=next(iter(found.frames[track.topic])),
        points=found.points[track.topic],
        entries=[Entry(*values) for values in zip(*columns, strict=True)],
    )


def _topics(bag: BagReader, message_type: str, wanted: str | None) -> Sequence[str]:
    """The topics of a type, or only the one that was named."""
    present = bag.topics(message_type)
    if wanted is None:
        return present
    if wanted not in present:
        kind = message_type.rpartition("/")[2]
        raise DataError(f"{bag.path} has no {kind} topic '{wanted}'; it has {', '.join(present) or 'none'}")
    return [wanted]


def _image_topics(bag: BagReader) -> list[str]:
    """Topics of colour images; depth images are not."""
    topics = [*bag.topics(IMAGE), *bag.topics(COMPRESSED_IMAGE)]
    return [topic for topic in topics if "depth" not in topic.lower()]


def _transforms(message: Any, *, static: bool) -> Iterator[StampedTransform]:
    for transform in message.transforms:
        t, r = transform.transform.translation, transform.transform.rotation
        yield StampedTransform(
            sys.intern(transform.header.frame_id),
            sys.intern(transform.child_frame_id),
            stamp_ns_of(transform),
            (t.x, t.y, t.z),
            (r.x, r.y, r.z, r.w),
            static,
        )


def _stamped_pose(message: Any, message_type: str) -> StampedTransform:
    pose = message.pose if message_type == POSE else message.pose.pose
    t, r = pose.position, pose.orientation
    return StampedTransform(
        message.header.frame_id,
        getattr(message, "child_frame_id", ""),
        stamp_ns_of(message),
        (t.x, t.y, t.z),
        (r.x, r.y, r.z, r.w),
        False,
    )

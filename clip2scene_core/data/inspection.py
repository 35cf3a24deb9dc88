"""Looks at a bag as its users will: what is in it, and what for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from clip2scene_core.cameras import in_image, project
from clip2scene_core.data.bag_cameras import (
    BagCamera,
    camera_info_topic,
    camera_names,
    nearest_in_time,
    read_pixels,
)
from clip2scene_core.data.bag_index import Stream, topics_and_tf
from clip2scene_core.data.bag_reader import BagReader
from clip2scene_core.data.bag_report import (
    BagReport,
    CameraReport,
    LidarReport,
    LinkReport,
    MotionReport,
    TopicReport,
)
from clip2scene_core.data.bag_times import TopicTimes
from clip2scene_core.data.bag_verdicts import node_command, node_findings, training_findings
from clip2scene_core.data.open import open_recording
from clip2scene_core.data.rosbag import RosbagSource
from clip2scene_core.data.tf_tree import EVER, TfLink, TfTree
from clip2scene_core.errors import CalibrationError, DataError
from clip2scene_core.pointcloud2 import decode
from clip2scene_core.progress import Progress, silent
from clip2scene_core.stamps import NS_PER_S
from clip2scene_core.types import Frame

FRAMES_SEEN = 3
"""Frames with images, spread over the bag, of which points are projected into the images."""


def inspect_bag(path: Path, progress: Progress = silent, /, **options: Any) -> BagReport:
    """Reads a bag once, for all of its topics; see look_into_bag."""
    return look_into_bag(path, progress, all_topics=True, **options)[0]


def look_into_bag(
    path: Path, progress: Progress = silent, /, *, sweeps_joined: int = 1, **options: Any
) -> tuple[BagReport, RosbagSource | None]:
    """What is known of a bag, and its frames; `options` are those of RosbagSource.

    `sweeps_joined` is how many sweeps training is going to join. A bag that RosbagSource refuses gives no
    frames; it is read again for its topics and TF, and the reason is told in the report. Raises ConfigError
    for an option that does not exist, DataError where there is no readable bag.
    """
    source: RosbagSource | None = None
    try:
        opened = open_recording("rosbag", path, progress, **options)
    except (CalibrationError, DataError) as error:
        report = _of_refused(path, options.get("definitions"), str(error))
    else:
        assert isinstance(opened, RosbagSource)
        source, report = opened, _of_source(path, opened, options)
    report = replace(
        report,
        node=node_findings(report),
        node_command=node_command(report),
        training=training_findings(report, sweeps_joined),
    )
    return report, source


def _of_refused(path: Path, definitions: str | None, reason: str) -> BagReport:
    bag = BagReader(path, definitions=definitions)
    times, tf = topics_and_tf(bag)
    return BagReport(
        path=str(path),
        topics=_topics(bag, times),
        tf=_links(tf),
        refusal=reason.removeprefix(f"{path} ").removeprefix(f"{path}: "),
        notes=bag.notes,
    )


def _of_source(path: Path, source: RosbagSource, options: Mapping[str, Any]) -> BagReport:
    contents, motion = source.contents, source.motion
    seen, notes = _points_seen(source)
    clouds = contents.clouds.values()
    return BagReport(
        path=str(path),
        topics=_topics(source.bag, contents.topics),
        tf=_links(contents.tf),
        points_topic=source.points_topic,
        lidars=tuple(_lidar(source.bag, cloud, contents.topics[cloud.topic].count) for cloud in clouds),
        cameras=tuple(_cameras(source, seen)),
        points_seen=seen.get(ANY),
        scans_with_image=len(_with_image(source)),
        image_slop_ms=source.image_slop_ms,
        motion=MotionReport(
            whence=motion.whence,
            fixed_frame=motion.fixed_frame,
            chain=tuple(contents.tf.chain(source.lidar_frame, motion.fixed_frame))
            if motion.whence == "tf"
            else (),
            moves=motion.moves,
            scans_recorded=contents.topics[source.points_topic].count,
            scans_usable=len(source),
        ),
        labels=source.label_set.name if source.label_set else None,
        clock_notes=contents.clock_notes,
        accepted_clocks=tuple(options.get("clock_offset_ms") or ()),
        notes=(*source.notes, *notes),
    )


def _topics(bag: BagReader, times: Mapping[str, TopicTimes]) -> tuple[TopicReport, ...]:
    return tuple(
        _topic(name, times[name]) if name in times else TopicReport(name=name, type=kind, messages=0)
        for name, kind in sorted(bag.types.items())
    )


def _topic(name: str, times: TopicTimes) -> TopicReport:
    return TopicReport(
        name=name,
        type=times.type,
        messages=times.count,
        rate_hz=times.rate_hz,
        longest_gap_s=times.largest_gap_ns / NS_PER_S,
        header_minus_recorded_ms=None if times.lead_ns is None else times.lead_ns / 1e6,
        frame_ids=times.frame_ids,
    )


def _links(tf: TfTree) -> tuple[LinkReport, ...]:
    return tuple(_link(link) for link in tf.links)


def _link(link: TfLink) -> LinkReport:
    stamps_ns = link.stamps_ns
    span_s = (stamps_ns[-1] - stamps_ns[0]) / NS_PER_S if stamps_ns else 0.0
    return LinkReport(
        parent=link.parent,
        child=link.child,
        static=not stamps_ns,
        rate_hz=(len(stamps_ns) - 1) / span_s if span_s else 0.0,
        span_s=span_s,
    )


def _lidar(bag: BagReader, cloud: Stream, scans: int) -> LidarReport:
    try:
        first = decode(bag.message(cloud.topic, cloud.entries[0]), topic=cloud.topic)
        scan, notes = first.scan, first.notes
    except DataError as error:
        scan, notes = None, (str(error),)
    columns = [getattr(scan, name, None) is not None for name in ("intensity", "ring", "time_offset_ns")]
    intensity, ring, point_times = columns
    return LidarReport(
        topic=cloud.topic,
        frame_id=cloud.frame_id,
        points_per_scan=cloud.points / scans,
        intensity=intensity,
        ring=ring,
        point_times=point_times,
        notes=notes,
    )


def _cameras(source: RosbagSource, seen: Mapping[str, float]) -> Iterable[CameraReport]:
    names = camera_names(source.contents.images)
    for camera in source.cameras:
        yield _usable_camera(source, camera, seen.get(camera.name))
    for topic, problem in source.refused_cameras.items():
        yield _refused_camera(source, names[topic], topic, problem)


def _usable_camera(source: RosbagSource, camera: BagCamera, seen: float | None) -> CameraReport:
    model, with_image = camera.calibration.camera, camera.nearest >= 0
    scans_ns, images_ns = source.stamps_ns(), camera.images.stamps_ns()
    offsets_ms = np.abs(images_ns[nearest_in_time(scans_ns, images_ns, EVER, np.inf)] - scans_ns) / 1e6
    return CameraReport(
        name=camera.name,
        topic=camera.images.topic,
        info_topic=camera_info_topic(camera.images.topic),
        camera_info="yes",
        width=model.width,
        height=model.height,
        model=model.model,
        scans_with_image=float(with_image.mean()),
        image_offset_ms=float(np.median(offsets_ms)),
        largest_offset_ms=float(offsets_ms[with_image].max()) if with_image.any() else None,
        chain=tuple(source.contents.tf.chain(camera.images.frame_id, source.lidar_frame)),
        points_seen=seen,
    )


def _refused_camera(source: RosbagSource, name: str, topic: str, problem: str) -> CameraReport:
    info_topic = camera_info_topic(topic)
    info = source.contents.camera_infos.get(info_topic)
    matrix = None if info is None else np.asarray(info.k if hasattr(info, "k") else info.K)
    try:
        entry = source.contents.images[topic].entries[0]
        height, width = read_pixels(source.bag, topic, entry)[0].shape[:2]
    except DataError:
        height = width = None
    return CameraReport(
        name=name,
        topic=topic,
        info_topic=info_topic,
        camera_info="no" if matrix is None else "yes" if matrix.any() else "uncalibrated",
        width=width,
        height=height,
        problem=problem,
    )


ANY = ""
"""Stands for all cameras together."""


def _points_seen(source: RosbagSource) -> tuple[dict[str, float], list[str]]:
    """Share of the points that lie in the images of each camera and of ANY, and what hinders looking."""
    hits: dict[str, list[np.ndarray]] = {}
    notes = []
    candidates = _with_image(source)
    chosen = {
        len(candidates) * (2 * i + 1) // (2 * FRAMES_SEEN) for i in range(FRAMES_SEEN if candidates else 0)
    }
    for index in (candidates[i] for i in sorted(chosen)):
        try:
            frame = source[index]
        except (CalibrationError, DataError) as error:
            notes.append(f"frame {index} cannot be read: {error}")
            continue
        for name, rows in _rows_seen(frame).items():
            hits.setdefault(name, []).append(rows)
    joined = {name: np.concatenate(rows) for name, rows in hits.items()}
    return {name: float(rows.mean()) for name, rows in joined.items() if len(rows)}, notes


def _with_image(source: RosbagSource) -> list[int]:
    """Frames that have an image of any camera."""
    has = [camera.nearest >= 0 for camera in source.cameras]
    return np.flatnonzero(np.any(has, axis=0)).tolist() if has else []


def _rows_seen(frame: Frame) -> dict[str, np.ndarray]:
    """(N,) bool by camera and for ANY: which returns lie in the images; empty without images."""
    distances_m = np.linalg.norm(frame.scan.xyz, axis=1)
    returns = frame.scan.xyz[np.isfinite(distances_m) & (distances_m > 0)]
    rows = {
        name: in_image(image.camera, project(image.camera, frame.camera_from_lidar(name).apply(returns))[0])
        for name, image in frame.images.items()
    }
    return {**rows, ANY: np.logical_or.reduce([*rows.values()])} if rows else {}

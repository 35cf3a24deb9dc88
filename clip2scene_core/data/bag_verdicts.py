"""What a bag is good for, in plain words, and the remedy for what it lacks."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from clip2scene_core.data.bag_cameras import VIDEO
from clip2scene_core.data.bag_report import BagReport, CameraReport, Finding, MotionReport, TopicReport
from clip2scene_core.data.ros_types import CLOUD, TRANSFORMS

PACKETS = re.compile(r"(Packets?|PacketMsg|VelodyneScan|RslidarScan|CustomMsg)$")
"""Message types of LiDAR drivers that hold raw data, not clouds."""

LEAST_SEEN = 0.01
"""A camera that sees a smaller share of the points looks elsewhere, or its calibration is wrong."""

LEAST_WITH_IMAGE = 0.9
"""Cameras with images for a smaller share of the scans are worth a remark."""

LONG_GAP = 2.5
"""In periods: one lost message makes a gap of 2."""


def node_findings(report: BagReport) -> tuple[Finding, ...]:
    """What the node `segment` finds."""
    return tuple(_of_node(report))


def training_findings(report: BagReport, sweeps_joined: int = 1) -> tuple[Finding, ...]:
    """What training finds that joins so many sweeps."""
    return tuple(_of_training(report, sweeps_joined))


def node_command(report: BagReport) -> str | None:
    """Starts the node for this bag, in several lines; None where it cannot work."""
    if report.points_topic is None:
        return None
    world = _world_of_node(report)
    cameras = _cameras_of_node(report)
    if not cameras:
        arguments = [f"points:={report.points_topic}", *([f"fixed_frame:={world}"] if world else [])]
        return " ".join(["ros2 launch clip2scene_ros segment.launch.py", *arguments])
    packed = _packed(cameras[0])
    lines = [
        "ros2 run clip2scene_ros segment --ros-args",
        f"-r '~/input/points:={report.points_topic}'",
        *([f"-p fixed_frame:={world}"] if world else []),
        f"-p 'cameras:=[{', '.join(camera.name for camera in cameras)}]'",
        *(["-p image_transport:=compressed"] if packed else []),
    ]
    for camera in cameras:
        suffix = "/compressed" if packed else ""
        lines.append(f"-r '~/input/{camera.name}/image{suffix}:={camera.topic}'")
        lines.append(f"-r '~/input/{camera.name}/camera_info:={camera.info_topic}'")
    return " \\\n    ".join(lines)


def _cameras_of_node(report: BagReport) -> list[CameraReport]:
    """Those with the image transport of the first usable one, since the node takes one transport for all."""
    usable = [camera for camera in report.cameras if not camera.problem]
    return [camera for camera in usable if _packed(camera) == _packed(usable[0])]


def _packed(camera: CameraReport) -> bool:
    return camera.topic.endswith("/compressed")


def _world_of_node(report: BagReport) -> str | None:
    """The fixed frame that the node can find in TF."""
    motion = report.motion
    return motion.fixed_frame if motion and motion.moves and motion.whence == "tf" else None


def _of_node(report: BagReport) -> Iterator[Finding]:
    if not report.motion:
        yield _refusal(report)
        return
    yield Finding(fine=True, text=f"clouds with x, y, z on {report.points_topic}")
    lidar = next(lidar for lidar in report.lidars if lidar.topic == report.points_topic)
    if world := _world_of_node(report):
        yield Finding(fine=True, text=f"TF says how '{lidar.frame_id}' moves in '{world}'")
    else:
        other = report.motion.whence
        yield Finding(
            fine=False,
            text=f"TF does not say how '{lidar.frame_id}' moves: scans are labelled one by one, without "
            "earlier sweeps and de-skewing; for these publish odom -> base_link and base_link -> "
            f"'{lidar.frame_id}' on /tf" + (f", as {other} tells it" if other.startswith("/") else ""),
        )
    if not report.cameras:
        yield Finding(fine=True, text="no cameras, which the node does not need")
    heard = _cameras_of_node(report)
    for camera in report.cameras:
        if camera.problem:
            yield _left_out(camera, "let the robot publish image, camera_info and TF as the node needs them")
        elif camera in heard:
            yield Finding(fine=True, text=f"camera {camera.name}: image, camera_info and TF are there")
        else:
            yield Finding(
                fine=False,
                text=f"camera {camera.name} has another image transport than {heard[0].name}, but the node "
                "takes one for all: republish it (ros2 run image_transport republish)",
            )
    yield from (Finding(fine=False, text=note) for note in report.clock_notes.values())


def _of_training(report: BagReport, sweeps_joined: int) -> Iterator[Finding]:
    if not report.motion:
        yield _refusal(report)
        return
    usable = [camera for camera in report.cameras if not camera.problem]
    if not report.cameras:
        yield _no_camera(report)
    for camera in report.cameras:
        if camera.problem:
            yield _left_out(camera, "give what is missing by --with calibration=FILE", fatal=not usable)
    for camera in usable:
        yield _overlap(camera)
        yield from _images(camera)
    if usable and not report.scans_with_image:
        yield _no_image(report, usable)
    elif report.points_seen is not None:
        yield _seen(report.points_seen)
    if report.clock_notes:
        yield from _clocks(report, usable)
    elif usable:
        yield Finding(fine=True, text="LiDAR and cameras have the same clock, by the times of recording")
    yield _motion(report.motion, sweeps_joined)
    yield from _coverage(report.motion)
    yield from _gap(next(topic for topic in report.topics if topic.name == report.points_topic))


def _refusal(report: BagReport) -> Finding:
    text = report.refusal
    if not any(topic.type == CLOUD for topic in report.topics):
        packets = [topic.name for topic in report.topics if PACKETS.search(topic.type)]
        text += (
            f"; {packets[0]} holds what the LiDAR sends: play the bag through its driver and record the "
            "PointCloud2 that this publishes"
            if packets
            else "; record the PointCloud2 topic of the LiDAR's driver, and /tf, /tf_static"
        )
    return Finding(fine=False, fatal=True, text=text)


def _no_camera(report: BagReport) -> Finding:
    if videos := [topic.name for topic in report.topics if VIDEO.search(topic.type)]:
        text = (
            f"no camera images but video on {videos[0]}, which is not read; republish it as CompressedImage"
        )
    else:
        text = (
            "no camera images: nothing teaches names from this bag; record images with their CameraInfo, as "
            "Image or CompressedImage"
        )
    return Finding(fine=False, fatal=True, text=text)


def _left_out(camera: CameraReport, remedy: str, *, fatal: bool = False) -> Finding:
    wanted = {"no": "record it, or ", "uncalibrated": "calibrate the camera, or "}.get(camera.camera_info, "")
    text = f"camera {camera.name} is left out: {camera.problem}; {wanted}{remedy}"
    return Finding(fine=False, fatal=fatal, text=text)


def _no_image(report: BagReport, cameras: Sequence[CameraReport]) -> Finding:
    offsets_ms = {camera.topic: camera.image_offset_ms or 0.0 for camera in cameras}
    topic = min(offsets_ms, key=lambda name: offsets_ms[name])
    return Finding(
        fine=False,
        fatal=True,
        text=f"no scan has an image within {report.image_slop_ms:g} ms and with a known pose; those on "
        f"{topic} are {offsets_ms[topic]:,.0f} ms off: is a clock another one? --with "
        f"clock_offset_ms={topic}:MS or align_clocks=true corrects it, image_slop_ms=MS takes images farther "
        "in time",
    )


def _seen(share: float) -> Finding:
    text = f"{share:.0%} of the points lie in an image of some camera"
    if share >= LEAST_SEEN:
        return Finding(fine=True, text=text)
    return Finding(
        fine=False,
        fatal=True,
        text=f"{text}: the cameras look elsewhere, or TF or CameraInfo is wrong, which "
        "--with calibration=FILE corrects",
    )


def _clocks(report: BagReport, cameras: Sequence[CameraReport]) -> Iterator[Finding]:
    """A clock that is off matters where frames are made of what it stamped."""
    transforms = {topic.name for topic in report.topics if topic.type == TRANSFORMS}
    whence = report.motion.whence if report.motion else ""
    used = {camera.topic for camera in cameras} | (transforms if whence == "tf" else {whence})
    for topic, note in report.clock_notes.items():
        fatal = topic in used and topic not in report.accepted_clocks
        remedy = f"; --with clock_offset_ms={topic}:0 takes the stamps as they are" if fatal else ""
        yield Finding(fine=False, fatal=fatal, text=note + remedy)


def _overlap(camera: CameraReport) -> Finding:
    if camera.points_seen is None:
        return Finding(
            fine=False,
            text=f"camera {camera.name}: none of the frames looked at has an image; see the share of scans "
            "with an image",
        )
    seen = f"camera {camera.name} sees {camera.points_seen:.0%} of the points"
    if camera.points_seen >= LEAST_SEEN:
        return Finding(fine=True, text=seen)
    return Finding(
        fine=False,
        text=f"{seen}: it looks elsewhere, or TF or CameraInfo is wrong (is its frame the optical one?)",
    )


def _images(camera: CameraReport) -> Iterator[Finding]:
    if camera.scans_with_image is not None and camera.scans_with_image < LEAST_WITH_IMAGE:
        yield Finding(
            fine=False,
            text=f"camera {camera.name} has an image for {camera.scans_with_image:.0%} of the scans: a lower "
            "rate or lost images; --with image_slop_ms=MS takes images farther in time",
        )


def _motion(motion: MotionReport, sweeps_joined: int) -> Finding:
    if motion.moves:
        whence = {"tf": "TF", "kiss-icp": "KISS-ICP over the scans"}.get(motion.whence, motion.whence)
        return Finding(
            fine=True,
            text=f"ego motion in '{motion.fixed_frame}' from {whence}: several sweeps can be joined",
        )
    if sweeps_joined == 1:
        what, instead = "several sweeps cannot be joined", ""
    else:
        what, instead = f"{sweeps_joined} sweeps cannot be joined", ", or --set pairing.sweeps=1"
    if motion.whence == "none":
        remedy = "leave --with ego_motion=none out"
    else:
        remedy = (
            "record /tf with odom -> base_link or an Odometry topic, or pip install 'clip2scene_ros[motion]' "
            "for --with ego_motion=kiss-icp"
        )
    text = f"no ego motion: {what}; {remedy}{instead}"
    return Finding(fine=False, fatal=sweeps_joined > 1 and motion.scans_usable > 1, text=text)


def _coverage(motion: MotionReport) -> Iterator[Finding]:
    if motion.scans_usable < motion.scans_recorded:
        yield Finding(
            fine=False,
            text=f"{motion.scans_usable} of {motion.scans_recorded} scans can be used; the notes say why",
        )


def _gap(clouds: TopicReport) -> Iterator[Finding]:
    gap_s, rate_hz = clouds.longest_gap_s, clouds.rate_hz
    if gap_s * rate_hz > LONG_GAP:
        yield Finding(
            fine=False,
            text=f"{clouds.name} pauses for {gap_s:.2f} s, at {rate_hz:.1f} Hz on average: "
            "were messages lost while recording? (ros2 bag record --max-cache-size)",
        )

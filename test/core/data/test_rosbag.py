"""Bags written message by message with rosbags, as recorders and drivers write them."""

from __future__ import annotations

import io
import pickle
import re
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from clip2scene_core.data.rosbag import RosbagSource
from clip2scene_core.errors import CalibrationError, DataError
from clip2scene_core.geometry import SE3

STORE = get_typestore(Stores.ROS2_HUMBLE)
STORE.register(
    get_types_from_msg("uint16 class_id\nstring class_name", "vision_msgs/msg/VisionClass")
    | get_types_from_msg(
        "std_msgs/Header header\nvision_msgs/VisionClass[] class_map\nfloat32 threshold",
        "vision_msgs/msg/LabelInfo",
    )
)
MS = 1_000_000
START = 1_700_000_000_000_000_000
HALF_TURN_HALF = (0.0, 0.0, np.sqrt(0.5), np.sqrt(0.5))


def make(name, /, **values):
    package, _, message = name.partition("/")
    return STORE.types[f"{package}/msg/{message}"](**values)


def header(stamp_ns, frame_id):
    time = make("builtin_interfaces/Time", sec=stamp_ns // 10**9, nanosec=stamp_ns % 10**9)
    return make("std_msgs/Header", stamp=time, frame_id=frame_id)


def cloud(stamp_ns, xyz, frame_id="lidar", label=None, probability=None, t=None):
    """x, y, z as float64 in the order z, y, x behind 3 bytes of padding, then what is given."""
    fields = [("z", 3, 8), ("y", 11, 8), ("x", 19, 8)]
    layout, columns, step = "<3x3d", [xyz[:, 2], xyz[:, 1], xyz[:, 0]], 27
    if label is not None:
        fields.append(("label", step, 4))
        layout, step = layout + "H", step + 2
        columns.append(label)
    if probability is not None:
        fields.append(("probability", step, 7))
        layout, step = layout + "f", step + 4
        columns.append(probability)
    if t is not None:
        fields.append(("t", step, 5))
        layout, step = layout + "i", step + 4
        columns.append(t)
    data = b"".join(struct.pack(layout, *row) for row in zip(*(c.tolist() for c in columns), strict=True))
    return make(
        "sensor_msgs/PointCloud2",
        header=header(stamp_ns, frame_id),
        height=1,
        width=len(xyz),
        fields=[make("sensor_msgs/PointField", name=n, offset=o, datatype=d, count=1) for n, o, d in fields],
        is_bigendian=False,
        point_step=step,
        row_step=step * len(xyz),
        data=np.frombuffer(data, np.uint8),
        is_dense=True,
    )


def image(stamp_ns, encoding, samples, padding=0, frame_id="camera"):
    """`samples` (H, W, channels) uint8 in the order of the encoding; rows end with padding."""
    height, width = samples.shape[:2]
    rows = np.full((height, samples[0].size + padding), 170, np.uint8)
    rows[:, : samples[0].size] = samples.reshape(height, -1)
    return make(
        "sensor_msgs/Image",
        header=header(stamp_ns, frame_id),
        height=height,
        width=width,
        encoding=encoding,
        is_bigendian=0,
        step=rows.shape[1],
        data=rows.reshape(-1),
    )


def compressed(stamp_ns, rgb, kind, frame_id="camera"):
    buffer = io.BytesIO()
    Image.fromarray(rgb).save(buffer, kind)
    data = np.frombuffer(buffer.getvalue(), np.uint8)
    return make("sensor_msgs/CompressedImage", header=header(stamp_ns, frame_id), format=kind, data=data)


def camera_info(
    width,
    height,
    model="plumb_bob",
    d=(),
    k=(50, 0, 3, 0, 60, 2, 0, 0, 1),
    r=(1, 0, 0, 0, 1, 0, 0, 0, 1),
    p=None,
    binning=0,
):
    roi = make("sensor_msgs/RegionOfInterest", x_offset=0, y_offset=0, height=0, width=0, do_rectify=False)
    return make(
        "sensor_msgs/CameraInfo",
        header=header(START, "camera"),
        height=height,
        width=width,
        distortion_model=model,
        d=np.array(d, float),
        k=np.array(k, float),
        r=np.array(r, float),
        p=np.zeros(12) if p is None else np.array(p, float),
        binning_x=binning,
        binning_y=binning,
        roi=roi,
    )


def transforms(*entries):
    """Of (parent, child, stamp, translation, quaternion)."""
    return make(
        "tf2_msgs/TFMessage",
        transforms=[
            make(
                "geometry_msgs/TransformStamped",
                header=header(stamp_ns, parent),
                child_frame_id=child,
                transform=make(
                    "geometry_msgs/Transform",
                    translation=make("geometry_msgs/Vector3", **dict(zip("xyz", map(float, t), strict=True))),
                    rotation=make(
                        "geometry_msgs/Quaternion", **dict(zip("xyzw", map(float, q), strict=True))
                    ),
                ),
            )
            for parent, child, stamp_ns, t, q in entries
        ],
    )


def label_info(pairs):
    classes = [make("vision_msgs/VisionClass", class_id=i, class_name=n) for i, n in pairs]
    return make("vision_msgs/LabelInfo", header=header(START, "lidar"), class_map=classes, threshold=0.0)


NO_TURN = (0, 0, 0, 1)
MOUNTING = transforms(
    ("base_link", "lidar", START, (1, 0, 2), NO_TURN),
    ("base_link", "camera", START, (1.5, 0, 1.5), (-0.5, 0.5, -0.5, 0.5)),
)


def xyz_of(number, count=4):
    return np.random.default_rng(number).uniform(-10, 10, (count, 3))


def rgb_of(number, width=7, height=5):
    return np.random.default_rng(number).integers(0, 256, (height, width, 3), dtype=np.uint8)


def drive(scans=3):
    """Topic, time of recording, message: 10 Hz, 1 m a scan along x of odom, TF at 20 Hz half a period off."""
    yield "/tf_static", START, MOUNTING
    for i in range(2 * scans + 2):
        pose = ("odom", "base_link", START + (50 * i - 25) * MS, (0.5 * i - 0.25, 0, 0), NO_TURN)
        yield "/tf", START + (50 * i - 25) * MS, transforms(pose)
    for i in range(scans):
        # Recorded 8 ms after it was taken, as happens.
        yield "/points", START + (100 * i + 8) * MS, cloud(START + 100 * i * MS, xyz_of(i))


@pytest.fixture
def write(tmp_path):
    """Writes (topic, time, message) to a bag and gives its path."""

    def write(*messages, storage=StoragePlugin.MCAP, name="bag") -> Path:
        path = tmp_path / name
        with Writer(path, version=8, storage_plugin=storage) as writer:
            connections = {}
            for topic, logged_ns, message in messages:
                if topic not in connections:
                    connections[topic] = writer.add_connection(topic, message.__msgtype__, typestore=STORE)
                data = STORE.serialize_cdr(message, message.__msgtype__)
                writer.write(connections[topic], logged_ns, data)
        return path

    return write


@pytest.mark.parametrize("storage", [StoragePlugin.MCAP, StoragePlugin.SQLITE3])
def test_scans_and_interpolated_poses(write, storage):
    source = RosbagSource(write(*drive(), storage=storage))
    assert len(source) == 3
    assert source.camera_names == ()
    assert source.label_set is None
    assert source.fixed_frame == "odom"
    for i, frame in enumerate(source):
        np.testing.assert_array_equal(frame.scan.xyz, xyz_of(i).astype(np.float32))
        assert frame.scan.stamp_ns == START + 100 * i * MS
        assert frame.scan.frame_id == "lidar"
        np.testing.assert_allclose(frame.world_from_lidar.translation, [i + 1, 0, 2], atol=1e-9)


def test_one_file_of_a_bag_can_be_opened(write):
    path = write(*drive())
    assert len(RosbagSource(path / "bag.mcap")) == 3


def test_sweeps_are_newest_first(write):
    frame = RosbagSource(write(*drive()), sweeps=5)[2]
    assert [sweep.stamp_ns for sweep in frame.sweeps] == [START + 100 * MS, START]
    np.testing.assert_allclose([p.translation[0] for p in frame.sweeps_world_from_lidar], [2, 1])
    np.testing.assert_array_equal(frame.sweeps[1].xyz, xyz_of(0).astype(np.float32))


def test_scans_are_in_the_order_of_their_stamps(write):
    messages = [m for m in drive() if m[0] != "/points"]
    late_first = [
        ("/points", START + i * MS, cloud(START + (200 - 100 * i) * MS, xyz_of(i))) for i in range(3)
    ]
    source = RosbagSource(write(*messages, *late_first))
    assert [frame.scan.stamp_ns for frame in source] == [START, START + 100 * MS, START + 200 * MS]
    np.testing.assert_array_equal(source[0].scan.xyz, xyz_of(2).astype(np.float32))


def test_scans_recorded_at_the_same_moment_are_told_apart(write):
    messages = [m for m in drive() if m[0] != "/points"]
    clouds = [("/points", START, cloud(START + 100 * i * MS, xyz_of(i))) for i in range(2)]
    source = RosbagSource(write(*messages, *clouds))
    np.testing.assert_array_equal(source[1].scan.xyz, xyz_of(1).astype(np.float32))


def test_scans_outside_the_time_of_tf_are_left_out_with_a_note(write):
    early = ("/points", START - 60 * MS, cloud(START - 60 * MS, xyz_of(9)))
    source = RosbagSource(write(*drive(), early))
    assert len(source) == 3
    assert any("1 of 4 scans lie outside the time" in note for note in source.notes)
    hopeless = [m for m in drive() if m[0] != "/points"] + [early]
    with pytest.raises(CalibrationError, match=r"all 1 scans lie outside .* of 'lidar' in 'odom'"):
        RosbagSource(write(*hopeless, name="hopeless"))


def test_the_fixed_frame(write):
    path = write(*drive(), ("/tf_static", START, transforms(("map", "odom", START, (100, 0, 0), NO_TURN))))
    assert RosbagSource(path)[0].world_from_lidar.translation[0] == pytest.approx(1)
    assert RosbagSource(path, fixed_frame="map")[0].world_from_lidar.translation[0] == pytest.approx(101)
    with pytest.raises(CalibrationError, match=r"from 'lidar' to 'world'.*not in the tree"):
        RosbagSource(path, fixed_frame="world")


def test_without_ego_motion_a_note_says_so(write):
    source = RosbagSource(write(("/tf_static", START, MOUNTING), *list(drive())[-3:]))
    assert source.fixed_frame == "base_link"
    np.testing.assert_allclose(source[2].world_from_lidar.translation, [1, 0, 2])
    assert any("does not say how 'lidar' moves" in note for note in source.notes)


def test_without_tf_the_world_is_the_lidar(write):
    source = RosbagSource(write(*list(drive())[-3:]))
    np.testing.assert_array_equal(source[1].world_from_lidar.matrix, np.eye(4))
    assert source.mounting(0).keys() == {"lidar"}
    assert source.notes


ENCODINGS = {
    "rgb8": lambda rgb: rgb,
    "bgr8": lambda rgb: rgb[:, :, ::-1],
    "rgba8": lambda rgb: np.dstack([rgb, np.full(rgb.shape[:2], 9, np.uint8)]),
    "bgra8": lambda rgb: np.dstack([rgb[:, :, ::-1], np.full(rgb.shape[:2], 9, np.uint8)]),
}


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("padding", [0, 5])
def test_images_of_any_encoding_and_padding(write, encoding, padding):
    rgb = rgb_of(3)
    path = write(
        *drive(),
        ("/front/image_raw", START, image(START, encoding, ENCODINGS[encoding](rgb), padding)),
        ("/front/camera_info", START, camera_info(7, 5)),
    )
    source = RosbagSource(path)
    assert source.camera_names == ("front",)
    np.testing.assert_array_equal(source[0].images["front"].rgb, rgb)


def test_grey_images_become_rgb(write):
    grey = rgb_of(1)[:, :, :1]
    path = write(
        *drive(),
        ("/front/image_raw", START, image(START, "mono8", grey, 3)),
        ("/front/camera_info", START, camera_info(7, 5)),
    )
    np.testing.assert_array_equal(RosbagSource(path)[0].images["front"].rgb, np.repeat(grey, 3, axis=2))


def test_compressed_images(write):
    smooth = np.add.outer(np.arange(5) * 8, np.arange(7) * 8)[:, :, None].repeat(3, axis=2).astype(np.uint8)
    path = write(
        *drive(),
        ("/png/image_raw/compressed", START, compressed(START, rgb_of(2), "png")),
        ("/png/camera_info", START, camera_info(7, 5)),
        ("/jpeg/image_raw/compressed", START, compressed(START, smooth, "jpeg")),
        ("/jpeg/camera_info", START, camera_info(7, 5)),
    )
    images = RosbagSource(path)[0].images
    np.testing.assert_array_equal(images["png"].rgb, rgb_of(2))
    assert np.abs(images["jpeg"].rgb.astype(int) - smooth).max() < 8


def with_camera(name="front", stamps_ms=(0, 100, 200), info=None, frame_id="camera"):
    for i, stamp_ms in enumerate(stamps_ms):
        stamp_ns = START + stamp_ms * MS
        yield f"/{name}/image_raw", stamp_ns, image(stamp_ns, "rgb8", rgb_of(i), frame_id=frame_id)
    yield f"/{name}/camera_info", START, camera_info(7, 5) if info is None else info


def test_the_image_nearest_in_time_belongs_to_a_scan(write):
    source = RosbagSource(write(*drive(), *with_camera(stamps_ms=(-20, 60, 130, 400))), image_slop_ms=50)
    stamps = [{n: (i.stamp_ns - START) // MS for n, i in frame.images.items()} for frame in source]
    assert stamps == [{"front": -20}, {"front": 130}, {}]
    np.testing.assert_array_equal(source[1].images["front"].rgb, rgb_of(2))
    assert any(
        "front: no image within 50 ms and with a known pose for 1 of 3 scans" in note for note in source.notes
    )


def test_images_have_the_pose_of_their_own_time(write):
    """1 m in 100 ms: 30 ms after the scan the camera, half a metre ahead of the lidar, is 0.3 m further."""
    frame = RosbagSource(write(*drive(), *with_camera(stamps_ms=(30,))))[0]
    np.testing.assert_allclose(frame.world_from_camera["front"].translation, [1.8, 0, 1.5], atol=1e-9)
    point = frame.camera_from_lidar("front").apply(np.array([10.0, 0, 0]))
    np.testing.assert_allclose(point, [0, -0.5, 9.2], atol=1e-9)


def test_an_image_without_a_pose_is_left_out(write):
    """TF begins 25 ms before the first scan."""
    assert RosbagSource(write(*drive(), *with_camera(stamps_ms=(-40,))))[0].images == {}


@pytest.mark.parametrize(
    ("info", "expected"),
    [
        (camera_info(7, 5, "plumb_bob", [0.1, 0.2, 0.3, 0.4, 0.5]), ("plumb_bob", 5)),
        (camera_info(7, 5, "rational_polynomial", [0.1] * 8), ("rational_polynomial", 8)),
        (camera_info(7, 5, "equidistant", [0.1] * 4), ("equidistant", 4)),
        (camera_info(7, 5, "plumb_bob", [0.0] * 5), ("pinhole", 0)),
        (camera_info(7, 5, "", []), ("pinhole", 0)),
    ],
)
def test_camera_models(write, info, expected):
    camera = RosbagSource(write(*drive(), *with_camera(info=info)))[0].images["front"].camera
    assert (camera.model, len(camera.distortion)) == expected
    assert camera.matrix.tolist() == [[50, 0, 3], [0, 60, 2], [0, 0, 1]]


def rectified(info):
    yield "/front/image_rect_color", START, image(START, "rgb8", rgb_of(0))
    yield "/front/camera_info", START, info


def test_rectified_images_have_the_projection_of_camera_info(write):
    info = camera_info(7, 5, "plumb_bob", [0.1] * 5, p=(40, 0, 3.5, 0, 0, 40, 2.5, 0, 0, 0, 1, 0))
    source = RosbagSource(write(*drive(), *rectified(info)))
    camera = source[0].images["front"].camera
    assert camera.model == "pinhole"
    assert camera.matrix.tolist() == [[40, 0, 3.5], [0, 40, 2.5], [0, 0, 1]]
    assert source.mounting(0).keys() == {"lidar", "camera"}


def test_rectification_turns_the_camera(write):
    """A quarter turn about the optical axis: what is 2 m to the right of the raw camera is 2 m below."""
    turn = (0, -1, 0, 1, 0, 0, 0, 0, 1)
    info = camera_info(7, 5, r=turn, p=(40, 0, 3.5, 0, 0, 40, 2.5, 0, 0, 0, 1, 0))
    source = RosbagSource(write(*drive(), *rectified(info)))
    frame = source[0]
    # The camera looks along x of the LiDAR, half a metre before and below it; right is -y.
    point = frame.camera_from_lidar("front").apply(np.array([10.5, -2.0, -0.5]))
    np.testing.assert_allclose(point, [0, 2, 10], atol=1e-9)
    base_from_lidar, base_from_camera = (source.mounting(0)[f] for f in ("lidar", "front_rectified"))
    np.testing.assert_allclose(
        (base_from_camera.inverse() @ base_from_lidar).matrix, frame.camera_from_lidar("front").matrix
    )
    assert frame.images["front"].frame_id == "front_rectified"


def test_binned_images_have_a_binned_matrix(write):
    source = RosbagSource(write(*drive(), *with_camera(info=camera_info(14, 10, binning=2))))
    assert source[0].images["front"].camera.matrix.tolist() == [[25, 0, 1.5], [0, 30, 1], [0, 0, 1]]
    assert source.notes == ()


def test_images_scaled_in_secret_are_noted(write):
    source = RosbagSource(write(*drive(), *with_camera(info=camera_info(14, 10))))
    assert source[0].images["front"].camera.matrix.tolist() == [[25, 0, 1.5], [0, 30, 1], [0, 0, 1]]
    (note,) = source.notes
    assert note.startswith("camera front: the image has 7 x 5 pixels, camera_info says 14 x 10")


def test_cameras_are_named_by_as_much_of_their_namespace_as_tells_them_apart(write):
    path = write(
        *drive(),
        *with_camera("sensing/left/camera"),
        *with_camera("sensing/right/camera"),
        ("/a/thermal/image/compressed", START, compressed(START, rgb_of(5), "png")),
        ("/a/thermal/camera_info", START, camera_info(7, 5)),
        ("/sensing/left/camera/image_raw/compressed", START, compressed(START, rgb_of(6), "png")),
    )
    source = RosbagSource(path)
    assert source.image_topics == {
        "sensing_left_camera": "/sensing/left/camera/image_raw",
        "sensing_right_camera": "/sensing/right/camera/image_raw",
        "thermal": "/a/thermal/image/compressed",
    }
    np.testing.assert_array_equal(source[0].images["thermal"].rgb, rgb_of(5))
    chosen = RosbagSource(path, cameras=["/sensing/left/camera/image_raw/compressed", "thermal"])
    assert chosen.image_topics == {
        "sensing_left_camera": "/sensing/left/camera/image_raw/compressed",
        "thermal": "/a/thermal/image/compressed",
    }
    assert RosbagSource(path, cameras=()).camera_names == ()
    with pytest.raises(DataError, match="no camera 'rear'; it has sensing_left_camera"):
        RosbagSource(path, cameras=["rear"])


def test_of_several_images_of_a_camera_the_coloured_one_is_taken(write):
    info = camera_info(7, 5, p=(40, 0, 3.5, 0, 0, 40, 2.5, 0, 0, 0, 1, 0))
    grey = image(START, "mono8", rgb_of(1)[:, :, :1])
    path = write(*drive(), *rectified(info), ("/front/image_rect", START, grey))
    assert RosbagSource(path).image_topics == {"front": "/front/image_rect_color"}


def test_depth_images_are_no_cameras(write):
    depth = image(START, "16UC1", rgb_of(0)[:, :, :2])
    path = write(
        *drive(),
        ("/front/depth/image_raw", START, depth),
        ("/front/depth/camera_info", START, camera_info(7, 5)),
    )
    assert RosbagSource(path).camera_names == ()


def test_a_camera_without_calibration_is_noted_and_an_error_if_asked_for(write):
    path = write(*drive(), *[m for m in with_camera() if "info" not in m[0]])
    source = RosbagSource(path)
    assert source.camera_names == ()
    assert any("front is left out" in n and "/front/camera_info" in n for n in source.notes)
    with pytest.raises(CalibrationError, match="no message on /front/camera_info"):
        RosbagSource(path, cameras=["front"])


def test_a_camera_that_tf_does_not_know_is_noted_and_an_error_if_asked_for(write):
    path = write(*drive(), *with_camera(frame_id="nowhere"))
    source = RosbagSource(path)
    assert source.camera_names == ()
    assert any("'nowhere' to 'lidar'" in note for note in source.notes)
    with pytest.raises(CalibrationError, match="from 'nowhere' to 'lidar'"):
        RosbagSource(path, cameras=["front"])


@pytest.mark.parametrize(
    ("info", "text"),
    [
        (camera_info(7, 5, k=[0] * 9), r"/front/camera_info: .*not calibrated"),
        (camera_info(7, 5, "omni", [1.0]), "/front/camera_info: camera model 'omni' is unknown"),
        (camera_info(9, 5), "/front/camera_info: the image has 7 x 5 pixels, camera_info says 9 x 5"),
    ],
)
def test_a_camera_with_unusable_calibration_is_noted_and_an_error_if_asked_for(write, info, text):
    path = write(*drive(), *with_camera(info=info))
    (note,) = RosbagSource(path).notes
    assert re.search(f"camera front is left out: {text}", note)
    with pytest.raises(CalibrationError, match=text):
        RosbagSource(path, cameras=["front"])


def test_a_camera_with_unreadable_images_is_noted_and_an_error_if_asked_for(write):
    infrared = image(START, "32FC1", np.zeros((5, 7, 4), np.uint8))
    path = write(
        *drive(), ("/front/image_raw", START, infrared), ("/front/camera_info", START, camera_info(7, 5))
    )
    (note,) = RosbagSource(path).notes
    assert note.startswith("camera front is left out: /front/image_raw: encoding '32FC1'")
    with pytest.raises(DataError, match="/front/image_raw: encoding '32FC1'"):
        RosbagSource(path, cameras=["front"])


def test_images_that_change_their_size_are_named(write):
    larger = image(START + 100 * MS, "rgb8", rgb_of(1, 14, 10))
    path = write(*drive(), *with_camera(stamps_ms=(0,)), ("/front/image_raw", START + 100 * MS, larger))
    source = RosbagSource(path)
    assert source[0].images.keys() == {"front"}
    with pytest.raises(
        DataError, match="/front/image_raw: the image has 14 x 10 pixels, the first one has 7 x 5"
    ):
        source[1]


def test_video_is_noted(write):
    kind = "ffmpeg_image_transport_msgs/msg/FFMPEGPacket"
    if kind not in STORE.types:
        STORE.register(get_types_from_msg("std_msgs/Header header\nuint8[] data", kind))
    packet = STORE.types[kind](header=header(START, "camera"), data=np.zeros(3, np.uint8))
    (note,) = RosbagSource(write(*drive(), ("/front/image/ffmpeg", START, packet))).notes
    assert note == (
        f"/front/image/ffmpeg is left out: {kind} is video, which is not read; "
        "republish it as CompressedImage"
    )


def test_of_several_lidars_the_one_with_most_points_counts(write):
    small = [("/side", START + i, cloud(START + i, xyz_of(i, 2), "side")) for i in range(2)]
    path = write(*drive(), *small)
    source = RosbagSource(path)
    assert source.points_topic == "/points"
    assert any("of 2 PointCloud2 topics, /points has most points" in note for note in source.notes)
    with pytest.raises(DataError, match="no PointCloud2 topic '/other'; it has /points, /side"):
        RosbagSource(path, points_topic="/other")


def test_lidars_with_equally_many_points_are_named(write):
    twin = [("/twin", logged, message) for topic, logged, message in drive() if topic == "/points"]
    path = write(*drive(), *twin)
    with pytest.raises(DataError, match="several clouds with 12 points each: /points, /twin; choose one"):
        RosbagSource(path)
    assert RosbagSource(path, points_topic="/twin").points_topic == "/twin"


PLACE_M = np.array([20.0, 3.0, 1.0])
"""Where a post stands in odom."""
OFFSETS_MS = np.array([0, 25, 50, 75])


def seen(stamp_ms, base_from_lidar, offsets_ms=OFFSETS_MS):
    """The post, as a LiDAR sees it so many ms after a stamp of the drive above, which goes 10 m/s."""
    world_from_lidar = [
        SE3.from_yaw(0.0, np.array([(stamp_ms + ms) / 100, 0.0, 0.0])) @ base_from_lidar for ms in offsets_ms
    ]
    return np.array([pose.inverse().apply(PLACE_M) for pose in world_from_lidar])


FRONT = SE3.from_yaw(0.0, np.array([1.0, 0.0, 2.0]))
LEFT = SE3.from_yaw(np.pi / 2, np.array([0.0, 1.0, 1.0]))


def skewed(scans=3):
    yield from (m for m in drive(scans) if m[0] != "/points")
    for i in range(scans):
        stamp_ns = START + 100 * i * MS
        yield "/points", stamp_ns, cloud(stamp_ns, seen(100 * i, FRONT), t=OFFSETS_MS * MS)


def test_the_motion_during_a_scan_is_taken_out(write):
    path = write(*skewed())
    source = RosbagSource(path, sweeps=1)
    for frame in source:
        assert frame.scan.time_offset_ns is None
        for scan, pose in [
            (frame.scan, frame.world_from_lidar),
            *zip(frame.sweeps, frame.sweeps_world_from_lidar, strict=True),
        ]:
            np.testing.assert_allclose(pose.apply(scan.xyz), [PLACE_M] * 4, atol=1e-3)
    assert ["set deskew=false" in note for note in source.notes].count(True) == 1
    raw = RosbagSource(path, deskew=False)
    assert raw.notes == ()
    np.testing.assert_array_equal(raw[1].scan.time_offset_ns, OFFSETS_MS * MS)
    np.testing.assert_allclose(raw[1].scan.xyz, seen(100, FRONT), atol=1e-5)


def test_points_beyond_the_last_pose_have_the_nearest_one_and_a_note_says_so(write):
    late = START + 300 * MS  # TF ends 25 ms later
    source = RosbagSource(
        write(*skewed(), ("/points", late, cloud(late, seen(300, FRONT), t=OFFSETS_MS * MS)))
    )
    in_world = source[3].world_from_lidar.apply(source[3].scan.xyz)
    np.testing.assert_allclose(in_world[:, 0] - PLACE_M[0], [0, 0, -0.25, -0.5], atol=1e-3)
    assert any("1 of 4 scans reach up to 50 ms beyond" in note for note in source.notes)


def test_times_that_mean_nothing_are_noted_and_the_scans_are_given_as_they_are(write):
    messages = [m for m in drive() if m[0] != "/points"]
    source = RosbagSource(write(*messages, ("/points", START, cloud(START, xyz_of(0), t=np.zeros(4, int)))))
    np.testing.assert_array_equal(source[0].scan.xyz, xyz_of(0).astype(np.float32))
    assert any(n.startswith("not de-skewed: /points: field 't' holds 0 to 0") for n in source.notes)


def test_without_ego_motion_times_are_left_alone(write):
    messages = [m for m in skewed() if m[0] != "/tf"]
    source = RosbagSource(write(*messages))
    np.testing.assert_array_equal(source[0].scan.time_offset_ns, OFFSETS_MS * MS)
    np.testing.assert_allclose(source[0].scan.xyz, seen(0, FRONT), atol=1e-5)


def two_lidars():
    """The left one is 30 ms late, has its stamps at the end of its scans, and misses the last one."""
    yield from skewed()
    mounting = ("base_link", "left", START, LEFT.translation, LEFT.quaternion_xyzw())
    yield "/tf_static", START, transforms(mounting)
    for i in range(2):
        stamp_ns, offsets_ms = START + (100 * i + 30) * MS, np.array([-30, -20, 0])
        xyz = seen(100 * i + 30, LEFT, offsets_ms)
        yield "/left", stamp_ns, cloud(stamp_ns, xyz, "left", t=offsets_ms * MS)


def test_several_lidars_are_one_scan_in_the_frame_of_the_first(write):
    path = write(*two_lidars())
    source = RosbagSource(path, points_topic="/points, /left", sweeps=1, lidar_slop_ms=50)
    assert (source.points_topic, [len(frame.scan.xyz) for frame in source]) == ("/points", [7, 7, 4])
    assert any("/left: no scan within 50 ms and with a known pose for 1 of 3" in n for n in source.notes)
    for frame in source:
        assert frame.scan.frame_id == "lidar"
        np.testing.assert_allclose(frame.world_from_lidar.apply(frame.scan.xyz) - PLACE_M, 0, atol=1e-3)
    assert len(source[2].sweeps[0].xyz) == 7
    assert source[1].scan.stamp_ns == START + 100 * MS
    frame = RosbagSource(path, points_topic="/points,/left", deskew=False)[1]
    np.testing.assert_allclose(frame.scan.xyz[:4], seen(100, FRONT), atol=1e-5)
    # Not de-skewed, the left one has what it saw 30, 20 and 0 ms before its stamp; only that one is right.
    in_world = frame.world_from_lidar.apply(frame.scan.xyz[4:])
    np.testing.assert_allclose(in_world - PLACE_M, [[0.3, 0, 0], [0.2, 0, 0], [0, 0, 0]], atol=1e-4)


def test_rows_of_a_lidar_without_labels_are_ignored(write):
    messages = [m for m in two_lidars() if m[0] != "/points"]
    main = ("/points", START, cloud(START, xyz_of(0), label=np.array([1, 8, 0, 11])))
    path = write(*messages, main, ("/points/label_info", START, label_info(enumerate(STREET))))
    source = RosbagSource(path, points_topic="/points,/left")
    assert source[0].labels.class_id.tolist() == [1, 8, 0, 11, 0, 0, 0]


def test_of_two_lidars_a_missing_one_is_named(write):
    path = write(*two_lidars())
    with pytest.raises(DataError, match="has no cloud on '/right'; it has /left, /points"):
        RosbagSource(path, points_topic="/points,/right")
    lost = write(*(m for m in two_lidars() if m[0] != "/tf_static" or m[2] is MOUNTING), name="lost")
    with pytest.raises(CalibrationError, match="'left' to 'lidar'"):
        RosbagSource(lost, points_topic="/points,/left")


STREET = [
    "ignore",
    *("road", "sidewalk", "terrain", "vegetation", "building", "fence", "pole", "car"),
    *("large vehicle", "two-wheeler", "person"),
]


def labelled(pairs=None, **columns):
    yield from (m for m in drive(1) if m[0] != "/points")
    yield "/points", START, cloud(START, xyz_of(0), label=np.array([1, 8, 0, 11]), **columns)
    if pairs is not None:
        yield "/points/label_info", START, label_info(pairs)


def test_labels_that_label_info_explains_are_ground_truth(write):
    source = RosbagSource(write(*labelled(enumerate(STREET))))
    assert source.label_set.name == "street"
    assert source.label_set.classes[0].phrases[0] == "road"
    labels = source[0].labels
    assert labels.class_id.tolist() == [1, 8, 0, 11]
    assert labels.probability is None
    assert source.notes == ()


def test_labels_of_an_unknown_set_get_one_from_label_info(write):
    source = RosbagSource(write(*labelled([(1, "ground"), (8, "ship"), (255, "ignore"), (11, "crane")])))
    assert source.label_set.names == ("ground", "ship", "crane")
    assert source.label_set.ids.tolist() == [1, 8, 11]
    assert source.label_set.ignore_id == 255
    assert len({c.colour for c in source.label_set.classes}) == 3


def test_labels_without_label_info_need_the_name_of_their_set(write):
    path = write(*labelled())
    source = RosbagSource(path)
    assert source[0].labels is None
    assert any("no LabelInfo says" in note for note in source.notes)
    named = RosbagSource(path, truth_label_set="semantic_kitti")
    assert named.label_set.name == "semantic_kitti"
    assert named[0].labels.class_id.tolist() == [1, 8, 0, 11]


def test_predictions_are_given_with_their_probability_and_a_note(write):
    probability = np.array([0.25, 0.5, 0.75, 1.0])
    source = RosbagSource(write(*labelled(enumerate(STREET), probability=probability)))
    assert source[0].labels.probability.tolist() == probability.tolist()
    assert any("predictions" in note for note in source.notes)


def test_several_label_infos_are_named(write):
    second = ("/other/label_info", START, label_info([(1, "ground")]))
    path = write(*labelled(enumerate(STREET)), second)
    with pytest.raises(DataError, match="several LabelInfo topics: /other/label_info, /points/label_info"):
        RosbagSource(path)
    assert RosbagSource(path, label_info_topic="/other/label_info").label_set.names == ("ground",)
    with pytest.raises(
        DataError, match="no LabelInfo topic '/third'; it has /other/label_info, /points/label"
    ):
        RosbagSource(path, label_info_topic="/third")


def test_a_source_goes_to_other_processes(write):
    source = RosbagSource(write(*drive()))
    again = pickle.loads(pickle.dumps(source))
    np.testing.assert_array_equal(again[1].scan.xyz, source[1].scan.xyz)


def test_what_is_no_bag_is_named(write, tmp_path):
    with pytest.raises(DataError, match="has no PointCloud2; its topics are /tf_static"):
        RosbagSource(write(("/tf_static", START, MOUNTING), name="poor"))
    path = write(*drive())
    (path / "metadata.yaml").unlink()
    with pytest.raises(DataError, match=r"no metadata.yaml: .* ros2 bag reindex"):
        RosbagSource(path)
    (tmp_path / "old.bag").write_bytes(b"#ROSBAG V2.0\n")
    with pytest.raises(DataError, match="ROS 1 bag; convert it with: rosbags-convert"):
        RosbagSource(tmp_path / "old.bag")
    with pytest.raises(DataError, match="is no readable bag"):
        RosbagSource(tmp_path / "absent.mcap")


@pytest.mark.parametrize("kept", [0.0, 0.4, 0.99])
def test_a_truncated_bag_is_named(write, kept):
    path = write(*drive())
    data = (path / "bag.mcap").read_bytes()
    (path / "bag.mcap").write_bytes(data[: int(kept * len(data))])
    with pytest.raises(DataError, match="is no readable bag") as error:
        RosbagSource(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_a_truncated_cloud_is_named_with_its_topic(write):
    broken = cloud(START + 100 * MS, xyz_of(1))
    broken.data = broken.data[:-5]
    messages = [m for m in drive() if m[0] != "/points"]
    source = RosbagSource(
        write(*messages, ("/points", START, cloud(START, xyz_of(0))), ("/points", START + 1, broken))
    )
    assert len(source[0].scan.xyz) == 4
    with pytest.raises(DataError, match="/points: truncated"):
        source[1]

"""Calibration files against poses worked out by hand and the conventions of those who write them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import test_rosbag as bags
import yaml
from test_rosbag import START, camera_info, drive, with_camera

from clip2scene_core.camera_info import calibration_from_info
from clip2scene_core.cameras import project
from clip2scene_core.data.calibration import read_calibration
from clip2scene_core.data.rosbag import RosbagSource
from clip2scene_core.errors import CalibrationError
from clip2scene_core.geometry import SE3

EXAMPLE = Path(__file__).parents[3] / "config" / "calibration.yaml"
write = bags.write

WRITTEN_BY_CAMERA_CALIBRATION = """
image_width: 7
image_height: 5
camera_name: front
camera_matrix:
  rows: 3
  cols: 3
  data: [40., 0. , 3., 0., 41., 2., 0., 0., 1.]
distortion_model: plumb_bob
distortion_coefficients:
  rows: 1
  cols: 5
  data: [-0.1, 0.02, 0., 0., 0.]
rectification_matrix:
  rows: 3
  cols: 3
  data: [1., 0., 0., 0., 1., 0., 0., 0., 1.]
projection_matrix:
  rows: 3
  cols: 4
  data: [38., 0., 3.5, 0., 0., 39., 2.5, 0., 0., 0., 1., 0.]
"""


@pytest.fixture
def file(tmp_path):
    """Writes a calibration, given as text or as what it holds, and gives its path."""

    def save(content, name="calibration.yaml") -> Path:
        text = content if isinstance(content, str) else yaml.safe_dump(content, sort_keys=False)
        (tmp_path / name).write_text(text)
        return tmp_path / name

    return save


def pose_of(calibration, frame) -> SE3:
    mounted = calibration.mounting[frame]
    return SE3.from_quaternion(mounted.quaternion_xyzw, mounted.translation_m)


def test_the_example_says_what_its_comments_say():
    calibration = read_calibration([EXAMPLE])
    assert {name: m.parent for name, m in calibration.mounting.items()} == {
        "lidar": "base_link",
        "camera_front_optical": "base_link",
        "camera_left_optical": "lidar",
    }
    np.testing.assert_allclose(pose_of(calibration, "lidar").apply(np.array([2.0, 0, 0])), [1, 2, 1.9])
    ahead = pose_of(calibration, "camera_front_optical").apply(np.array([0.0, 0, 5]))
    np.testing.assert_allclose(ahead, [6.5, 0, 1.5], atol=1e-12)
    aside = pose_of(calibration, "camera_left_optical").apply(np.array([0.0, 0, 5]))
    np.testing.assert_allclose(aside, [0.2, 5.1, -0.3], atol=1e-12)
    front, left = (
        calibration_from_info(info, info.width, info.height, rectified=False).camera
        for info in (calibration.camera_infos["front"], calibration.camera_infos["left"])
    )
    assert (front.width, front.height, front.model) == (1280, 720, "plumb_bob")
    assert front.matrix.tolist() == [[900, 0, 640], [0, 905, 360], [0, 0, 1]]
    assert front.distortion.tolist() == [-0.2, 0.05, 0.001, 0, 0]
    assert left.model == "pinhole"
    assert calibration.camera_frames == {"left": "camera_left_optical"}


@pytest.mark.parametrize(
    "turn",
    [
        {"roll_pitch_yaw_deg": [90, 0, 90], "translation_m": [1, 2, 3]},
        {"quaternion_xyzw": [1, 1, 1, 1], "translation_m": [1, 2, 3]},
        {"matrix": [[0, 0, 1, 1], [1, 0, 0, 2], [0, 1, 0, 3], [0, 0, 0, 1]]},
        {"matrix": [0, 0, 1, 1, 1, 0, 0, 2, 0, 1, 0, 3, 0, 0, 0, 1]},
    ],
)
def test_a_pose_can_be_written_in_several_ways(file, turn):
    """First about x: y goes to z; then about z: x goes to y. So x -> y -> z -> x."""
    pose = pose_of(read_calibration([file({"frames": {"sensor": {"parent": "base", **turn}}})]), "sensor")
    np.testing.assert_allclose(pose.matrix[:3], [[0, 0, 1, 1], [1, 0, 0, 2], [0, 1, 0, 3]], atol=1e-12)


def test_autoware_writes_poses_in_metres_and_radians(file):
    """Of a sensor kit 1 m ahead that looks left, with a LiDAR upside down 2 m above it."""
    zero = dict.fromkeys(("x", "y", "z", "roll", "pitch", "yaw"), 0.0)
    kit = file({"base_link": {"sensor_kit_base_link": zero | {"x": 1.0, "yaw": np.pi / 2}}}, "sensors.yaml")
    lidar = file({"sensor_kit_base_link": {"velodyne_top": zero | {"z": 2.0, "roll": np.pi}}}, "kit.yaml")
    calibration = read_calibration([kit, lidar])
    assert calibration.mounting["velodyne_top"].parent == "sensor_kit_base_link"
    base_from_lidar = pose_of(calibration, "sensor_kit_base_link") @ pose_of(calibration, "velodyne_top")
    np.testing.assert_allclose(base_from_lidar.apply(np.array([3.0, 4, 5])), [1 + 4, 3, 2 - 5], atol=1e-12)


@pytest.mark.parametrize(
    ("topic", "model", "row"),
    [("image_raw", "plumb_bob", [40, 0, 3]), ("image_rect", "pinhole", [38, 0, 3.5])],
)
def test_camera_calibration_counts_for_raw_and_rectified_images(write, file, topic, model, row):
    messages = [(f"/front/{topic}", START, bags.image(START, "rgb8", bags.rgb_of(0)))]
    path = write(*drive(), *messages)
    calibrated = RosbagSource(path, calibration=[str(file(WRITTEN_BY_CAMERA_CALIBRATION))])
    camera = calibrated[0].images["front"].camera
    assert (camera.model, camera.matrix[0].tolist()) == (model, row)
    assert RosbagSource(path).camera_names == (), "the bag alone has no CameraInfo"


def test_files_count_more_than_the_bag(write, file):
    """TF has the LiDAR 1 m ahead of the base and 2 m up; it is 3 m ahead, 1 m up and looks back.

    The camera, 1 m above the base, looks ahead: a point 10 m behind the LiDAR is 13 m before it.
    """
    path = write(*drive(), *with_camera(info=camera_info(7, 5, k=(9, 0, 9, 0, 9, 9, 0, 0, 1))))
    mounting = file(
        {
            "frames": {
                "lidar": {
                    "parent": "base_link",
                    "translation_m": [3, 0, 1],
                    "quaternion_xyzw": [0, 0, 1, 0],
                },
                "camera": {
                    "parent": "base_link",
                    "translation_m": [0, 0, 1],
                    "quaternion_xyzw": [-0.5, 0.5, -0.5, 0.5],
                },
            }
        }
    )
    model = {"width": 7, "height": 5, "matrix": [26, 26, 3, 2]}
    models = file({"cameras": {"front": model, "rear": model}}, "cameras.yaml")
    source = RosbagSource(path, calibration=[str(mounting), str(models)])
    frame = source[0]
    np.testing.assert_allclose(frame.world_from_lidar.translation, [3, 0, 1], atol=1e-9)
    point = frame.camera_from_lidar("front").apply(np.array([-10.0, 0.5, 0]))
    pixels, depth_m = project(frame.images["front"].camera, point[None])
    assert depth_m == pytest.approx([13])
    np.testing.assert_allclose(pixels, [[3 + 26 * 0.5 / 13, 2]])
    np.testing.assert_allclose(source.mounting(0)["lidar"].translation, [3, 0, 1])
    assert source.notes == (
        "calibration of camera 'rear' is not used: the bag has front",
        "the calibration given counts, not that of the bag: frame lidar, frame camera, camera front",
    )


def test_images_with_a_wrong_frame_can_be_given_the_right_one(write, file):
    path = write(*drive(), *with_camera(frame_id=""))
    assert RosbagSource(path).camera_names == ()
    calibration = file({"cameras": {"/front/image_raw": {"frame": "camera"}}})
    image = RosbagSource(path, calibration=[str(calibration)])[0].images["front"]
    assert (image.frame_id, image.camera.matrix[0, 0]) == ("camera", 50)


def test_motion_needs_no_tf_in_the_bag(write, file):
    """Odometry of a base that only the file relates to the LiDAR."""
    from test_ego_motion import scans, track

    path = write(*scans(), *track(child="trailer"))
    calibration = file(
        {
            "frames": {
                "lidar": {"parent": "trailer", "translation_m": [0, 0, 3], "roll_pitch_yaw_deg": [0, 0, 0]}
            }
        }
    )
    source = RosbagSource(path, calibration=[str(calibration)])
    np.testing.assert_allclose(source[1].world_from_lidar.translation, [1, 0, 3], atol=1e-9)


FRAME = {"parent": "base_link", "translation_m": [0, 0, 0], "quaternion_xyzw": [0, 0, 0, 1]}
CAMERA = {"width": 7, "height": 5, "matrix": [50, 50, 3, 2]}


def frame(**changes):
    return {"frames": {"lidar": {k: v for k, v in (FRAME | changes).items() if v is not None}}}


def camera(**changes):
    return {"cameras": {"front": {k: v for k, v in (CAMERA | changes).items() if v is not None}}}


SCALED = [[2, 0, 0, 0], [0, 2, 0, 0], [0, 0, 2, 0], [0, 0, 0, 1]]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("frames: [", "cannot read calibration .*calibration.yaml"),
        ("- 1", "expected `frames` and `cameras`.*; got list"),
        ("sensors: {lidar: 1}", "expected `frames` and `cameras`.*; got the keys sensors"),
        ({"frames": {}, "camera": {}}, "'camera' is unknown; known are frames, cameras"),
        ({"frames": [1]}, r"frames must map names to settings, got \[1\]"),
        ({"frames": {"lidar": 3}}, "frames: 'lidar' must have settings of its own, got 3"),
        (frame(parent=None), "frames.lidar: 'parent' must be the name of a frame, got None"),
        (
            frame(translation=[0, 0, 0]),
            "frames.lidar: 'translation' is unknown; known are parent, translation_m",
        ),
        (frame(translation_m=[0, 0]), r"frames.lidar: 'translation_m' must be 3 numbers, got \[0, 0\]"),
        (frame(translation_m=None), "frames.lidar: 'translation_m' must be 3 numbers, got None"),
        (frame(translation_m=[0, 0, "up"]), "'translation_m' must be 3 numbers, got .*'up'"),
        (frame(translation_m=[0, 0, float("nan")]), "'translation_m' must be 3 numbers"),
        (frame(quaternion_xyzw=[0, 0, 0, 0]), r"frames.lidar: quaternion .* is no rotation"),
        (frame(quaternion_xyzw=None), "one of quaternion_xyzw, .* must say how it is turned, got none"),
        (frame(roll_pitch_yaw_deg=[0, 0, 0]), "got quaternion_xyzw, roll_pitch_yaw_deg"),
        (
            frame(quaternion_xyzw=None, translation_m=None, matrix=SCALED),
            "frames.lidar: 'matrix' must be rotation",
        ),
        (camera(width="7"), "cameras.front: 'width' must be a number of pixels, got '7'"),
        (camera(height=None), "cameras.front: 'height' must be a number of pixels, got None"),
        (camera(matrix=[50, 50]), r"cameras.front: 'matrix' must be 4 or 9 numbers, got \[50, 50\]"),
        (camera(matrix=[0, 0, 0, 0]), "cameras.front: .*positive focal lengths"),
        (camera(distortion=[0.1]), "cameras.front: 'distortion' needs a 'model' other than pinhole"),
        (camera(distortion=[0.1], model="plumb_bob"), "cameras.front: .* coefficients, got 1"),
        (camera(distortion=[0.1] * 5, model="fish"), "cameras.front: camera model 'fish' is unknown"),
        ({"cameras": {"front": {"lens": 1}}}, "cameras.front: 'lens' is unknown; known are frame, model"),
        ({"base": {"lidar": {"x": 1, "y": 0}}}, "base.lidar: 'z' must be a number, got None"),
        ({"base": {"lidar": {"x": 1, "qx": 0}}}, "base.lidar: 'qx' is unknown; known are x, y, z, roll"),
        (WRITTEN_BY_CAMERA_CALIBRATION.replace("camera_name: front", ""), "'camera_name' must be the name"),
        (
            WRITTEN_BY_CAMERA_CALIBRATION.replace("[40., 0. ,", "[40.,"),
            "camera_matrix: 'data' must be 9 numbers, got",
        ),
        (
            WRITTEN_BY_CAMERA_CALIBRATION.replace("projection_", "p_"),
            "'projection_matrix' must have settings",
        ),
    ],
)
def test_mistakes_are_named_with_file_and_key(file, content, words):
    path = file(content)
    with pytest.raises(CalibrationError, match=words) as error:
        read_calibration([path])
    assert str(path) in str(error.value) and "\n" not in str(error.value)


def test_what_is_said_twice_or_nowhere_is_named(file, tmp_path):
    first, second = file(frame(), "first.yaml"), file(frame(), "second.yaml")
    with pytest.raises(CalibrationError, match=r"second.yaml: 'lidar' is calibrated in another file too"):
        read_calibration([first, second])
    with pytest.raises(CalibrationError, match=r"cannot read calibration .*absent.yaml"):
        read_calibration([tmp_path / "absent.yaml"])

"""Calibration from YAML files: where sensors are mounted, and the models of cameras.

Three formats are read: the project's own, which config/calibration.yaml explains; what camera_calibration of
ROS writes for one camera; Autoware's sensor_kit_calibration.yaml and sensors_calibration.yaml.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from scipy.spatial.transform import Rotation

from clip2scene_core.camera_info import calibration_from_info
from clip2scene_core.data.bag_cameras import camera_info_topic, camera_names
from clip2scene_core.data.bag_index import BagIndex
from clip2scene_core.data.ros_types import CAMERA_INFO, typestore
from clip2scene_core.data.tf_tree import StampedTransform
from clip2scene_core.errors import CalibrationError
from clip2scene_core.geometry import SE3

FRAME_KEYS = ("parent", "translation_m", "quaternion_xyzw", "roll_pitch_yaw_deg", "matrix")
CAMERA_KEYS = ("frame", "model", "width", "height", "matrix", "distortion")
AUTOWARE_KEYS = ("x", "y", "z", "roll", "pitch", "yaw")
"""Metres and radians."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Calibration:
    """What one or several files say."""

    mounting: Mapping[str, StampedTransform] = field(default_factory=dict)
    """By the frame that is mounted."""
    camera_infos: Mapping[str, Any] = field(default_factory=dict)
    """sensor_msgs/CameraInfo by name of the camera or image topic."""
    camera_frames: Mapping[str, str] = field(default_factory=dict)
    """Frame of the images, likewise, where a recording has it wrong."""

    def applied_to(self, index: BagIndex) -> tuple[BagIndex, list[str]]:
        """The bag with this calibration in place of its own where both say something; notes for the user."""
        names = camera_names(index.images)
        infos, images = dict(index.camera_infos), dict(index.images)
        used, notes = [f"frame {name}" for name in self.mounting], []
        for key in {**self.camera_infos, **self.camera_frames}:
            topics = [topic for topic, name in names.items() if key in (topic, name)]
            for topic in topics:
                if key in self.camera_infos:
                    infos[camera_info_topic(topic)] = self.camera_infos[key]
                if key in self.camera_frames:
                    images[topic] = replace(images[topic], frame_id=self.camera_frames[key])
            if topics:
                used.append(f"camera {key}")
            elif names:
                present = ", ".join(sorted({*names.values()}))
                notes.append(f"calibration of camera '{key}' is not used: the bag has {present}")
        if used:
            notes.append(f"the calibration given counts, not that of the bag: {', '.join(used)}")
        tf = index.tf.remounted(self.mounting.values())
        return replace(index, tf=tf, camera_infos=infos, images=images), notes


def read_calibration(paths: Iterable[Path]) -> Calibration:
    """All files together. Raises CalibrationError, naming file and key, for what is wrong or said twice."""
    parts = {path: _read_file(path) for path in paths}
    together: dict[str, dict[str, Any]] = {name: {} for name in ("mounting", "camera_infos", "camera_frames")}
    for path, part in parts.items():
        for name, known in together.items():
            new = getattr(part, name)
            if twice := [key for key in new if key in known]:
                raise CalibrationError(
                    f"{path}: '{twice[0]}' is calibrated in another file too; name only one"
                )
            known.update(new)
    return Calibration(**together)


def _read_file(path: Path) -> Calibration:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise CalibrationError(f"cannot read calibration {path}: {' '.join(str(error).split())}") from error
    if isinstance(content, dict):
        if "camera_matrix" in content:
            return _of_camera_calibration(content, str(path))
        if content.keys() & {"frames", "cameras"}:
            return _of_own_format(content, str(path))
        if content and all(_is_autoware(children) for children in content.values()):
            return _of_autoware(content, str(path))
    got = f"the keys {', '.join(map(str, content))}" if isinstance(content, dict) else type(content).__name__
    raise CalibrationError(
        f"{path}: expected `frames` and `cameras`, the `camera_matrix` of camera_calibration, or the "
        f"{', '.join(AUTOWARE_KEYS)} of Autoware's sensor kit; got {got}"
    )


def _of_own_format(content: dict[str, Any], where: str) -> Calibration:
    _check_keys(content, ("frames", "cameras"), where)
    frames = _children(content.get("frames") or {}, f"{where}: frames")
    cameras = _children(content.get("cameras") or {}, f"{where}: cameras")
    return Calibration(
        mounting={name: _mounting(name, frame, f"{where}: frames.{name}") for name, frame in frames.items()},
        camera_infos={
            name: _camera_info(camera, f"{where}: cameras.{name}")
            for name, camera in cameras.items()
            if camera.keys() != {"frame"}
        },
        camera_frames={name: str(camera["frame"]) for name, camera in cameras.items() if "frame" in camera},
    )


def _mounting(name: str, frame: dict[str, Any], where: str) -> StampedTransform:
    _check_keys(frame, FRAME_KEYS, where)
    if not isinstance(parent := frame.get("parent"), str):
        raise CalibrationError(f"{where}: 'parent' must be the name of a frame, got {parent!r}")
    turns = [key for key in ("quaternion_xyzw", "roll_pitch_yaw_deg", "matrix") if key in frame]
    if len(turns) != 1:
        raise CalibrationError(
            f"{where}: one of quaternion_xyzw, roll_pitch_yaw_deg and matrix must say how it is turned, "
            f"got {', '.join(turns) or 'none'}"
        )
    if turns == ["matrix"]:
        return _transform(parent, name, _rigid(frame, where))
    translation_m = _numbers(frame, "translation_m", (3,), where)
    if turns == ["quaternion_xyzw"]:
        quaternion = _numbers(frame, "quaternion_xyzw", (4,), where)
    else:
        roll_pitch_yaw = _numbers(frame, "roll_pitch_yaw_deg", (3,), where)
        quaternion = Rotation.from_euler("xyz", roll_pitch_yaw, degrees=True).as_quat()
    try:
        return _transform(parent, name, SE3.from_quaternion(quaternion, translation_m))
    except CalibrationError as error:
        raise CalibrationError(f"{where}: {error}") from error


def _rigid(frame: dict[str, Any], where: str) -> SE3:
    matrix = _numbers(frame, "matrix", (16,), where).reshape(4, 4)
    rotation = matrix[:3, :3]
    turns = np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-3) and np.linalg.det(rotation) > 0
    if "translation_m" in frame or not turns or not np.allclose(matrix[3], [0, 0, 0, 1]):
        raise CalibrationError(
            f"{where}: 'matrix' must be rotation and translation (no translation_m then) over 0 0 0 1, "
            f"got {matrix.tolist()}"
        )
    return SE3(matrix)


def _camera_info(camera: dict[str, Any], where: str) -> Any:
    _check_keys(camera, CAMERA_KEYS, where)
    matrix = _numbers(camera, "matrix", (4, 9), where)
    if len(matrix) == 4:
        fx, fy, cx, cy = matrix
        matrix = np.array([fx, 0, cx, 0, fy, cy, 0, 0, 1])
    model = str(camera.get("model", "pinhole"))
    distortion = np.zeros(0)
    if "distortion" in camera:
        distortion = _numbers(camera, "distortion", range(15), where)
    if model == "pinhole":
        if distortion.any():
            raise CalibrationError(f"{where}: 'distortion' needs a 'model' other than pinhole")
        model, distortion = "plumb_bob", np.zeros(5)
    projection = np.hstack([matrix.reshape(3, 3), np.zeros((3, 1))])
    return _message(_size(camera, "width", "height", where), model, distortion, matrix, projection, where)


def _of_camera_calibration(content: dict[str, Any], where: str) -> Calibration:
    """Of raw images, and with the projection_matrix of rectified ones."""
    if not isinstance(name := content.get("camera_name"), str):
        raise CalibrationError(
            f"{where}: 'camera_name' must be the name of a camera of the bag, got {name!r}"
        )
    data = {
        key: _numbers(_child(content, key, where), "data", counts, f"{where}: {key}")
        for key, counts in (
            ("camera_matrix", (9,)),
            ("distortion_coefficients", range(15)),
            ("projection_matrix", (12,)),
        )
    }
    info = _message(
        _size(content, "image_width", "image_height", where),
        str(content.get("distortion_model", "")),
        data["distortion_coefficients"],
        data["camera_matrix"],
        data["projection_matrix"],
        where,
    )
    return Calibration(camera_infos={name: info})


def _is_autoware(children: Any) -> bool:
    return isinstance(children, dict) and all(
        isinstance(child, dict) and child.keys() & set(AUTOWARE_KEYS) for child in children.values()
    )


def _of_autoware(content: dict[str, Any], where: str) -> Calibration:
    mounting = {}
    for parent, children in content.items():
        for name, pose in children.items():
            at = f"{where}: {parent}.{name}"
            _check_keys(pose, AUTOWARE_KEYS, at)
            x, y, z, *roll_pitch_yaw = (_numbers(pose, key, (1,), at)[0] for key in AUTOWARE_KEYS)
            rotation = Rotation.from_euler("xyz", roll_pitch_yaw).as_matrix()
            pose_in_parent = SE3.from_rotation_translation(rotation, np.array([x, y, z]))
            mounting[str(name)] = _transform(str(parent), str(name), pose_in_parent)
    return Calibration(mounting=mounting)


def _transform(parent: str, child: str, parent_from_child: SE3) -> StampedTransform:
    x, y, z = parent_from_child.translation.tolist()
    qx, qy, qz, qw = parent_from_child.quaternion_xyzw().tolist()
    return StampedTransform(parent, child, 0, (x, y, z), (qx, qy, qz, qw), True)


def _message(
    size: tuple[int, int],
    model: str,
    distortion: np.ndarray,
    matrix: np.ndarray,
    projection: np.ndarray,
    where: str,
) -> Any:
    """A CameraInfo, checked."""
    types = typestore().types
    stamp = types["builtin_interfaces/msg/Time"](sec=0, nanosec=0)
    info = types[CAMERA_INFO](
        header=types["std_msgs/msg/Header"](stamp=stamp, frame_id=""),
        width=size[0],
        height=size[1],
        distortion_model=model,
        d=distortion,
        k=matrix.reshape(9),
        r=np.eye(3).reshape(9),
        p=projection.reshape(12),
        binning_x=0,
        binning_y=0,
        roi=types["sensor_msgs/msg/RegionOfInterest"](
            x_offset=0, y_offset=0, height=0, width=0, do_rectify=False
        ),
    )
    try:
        calibration_from_info(info, *size, rectified=False)
    except CalibrationError as error:
        raise CalibrationError(f"{where}: {error}") from error
    return info


def _size(content: dict[str, Any], width: str, height: str, where: str) -> tuple[int, int]:
    for key in (width, height):
        if not isinstance(content.get(key), int) or content[key] < 1:
            raise CalibrationError(f"{where}: '{key}' must be a number of pixels, got {content.get(key)!r}")
    return content[width], content[height]


def _numbers(content: dict[str, Any], key: str, counts: Sequence[int], where: str) -> np.ndarray:
    """Numbers, also in rows, as (count,) float64."""
    value = content.get(key)
    try:
        numbers: np.ndarray = np.array(value, np.float64).reshape(-1)
    except (TypeError, ValueError):
        numbers = np.array([np.nan])
    if len(numbers) not in counts or not np.isfinite(numbers).all():
        expected = " or ".join(map(str, counts)) if len(counts) < 3 else f"up to {max(counts)}"
        what = "a number" if expected == "1" else f"{expected} numbers"
        raise CalibrationError(f"{where}: '{key}' must be {what}, got {value!r}")
    return numbers


def _children(content: Any, where: str) -> dict[str, dict[str, Any]]:
    """A mapping of mappings."""
    if not isinstance(content, dict):
        raise CalibrationError(f"{where} must map names to settings, got {content!r}")
    return {str(name): _child(content, name, where) for name in content}


def _child(content: dict[str, Any], key: str, where: str) -> dict[str, Any]:
    if not isinstance(value := content.get(key), dict):
        raise CalibrationError(f"{where}: '{key}' must have settings of its own, got {value!r}")
    return value


def _check_keys(content: dict[str, Any], known: Sequence[str], where: str) -> None:
    if unknown := [str(key) for key in content if key not in known]:
        raise CalibrationError(f"{where}: '{unknown[0]}' is unknown; known are {', '.join(known)}")

"""ScanNet v2: scans/SCENE/SCENE_vh_clean_2.ply, its labels, and the RGB-D frames it was made of.

Frames are read from SCENE.sens or, where they were exported, from color/, depth/ and pose/ in the folder of
the scene or in that of the same name in scannet_frames_25k/ or frames_square/ beside scans/.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from clip2scene_core.cameras import Camera, resized
from clip2scene_core.data.rgbd import RgbdFrame
from clip2scene_core.data.scannet_scenes import Scene, choose_scenes, find_scenes
from clip2scene_core.errors import ConfigError, DataError
from clip2scene_core.geometry import SE3
from clip2scene_core.labels import LabelSet
from clip2scene_core.types import CameraImage, Frame, LidarScan, SemanticLabels

SCENE_FRAME = "scene"
STAMP_NS = 1_000_000_000
"""Of everything: a scene stands still. Not 0, which means `latest` to TF."""


class ScannetSource:
    """The scenes of ScanNet; each frame is the mesh of one with some of its images; see FrameSource.

    Points are the vertices with their colours, in the coordinates of the file, in which z is up. The world
    is the scene turned by the axis alignment of SCENE.txt, where it has one. Images come with the depth of
    what they show. There is no vehicle: its place is taken by the scene.
    """

    def __init__(
        self,
        root: Path | str,
        *,
        split: str | None = None,
        scenes: Sequence[str] | None = None,
        images: int = 8,
        seed: int | None = None,
        full_size: bool = False,
    ) -> None:
        """`root` holds scans/ and scans_test/, or folders of scenes, or is the folder of one scene.

        `split` is train, val or test, of which scannetv2_SPLIT.txt beside scans/ has the scenes, or another
        file with a name a line; `scenes` are names such as scene0000_00; None for all. Up to `images` images
        of each scene are given: drawn at random where there is a `seed`, else spread evenly over the scan.
        They have the size of their depths, 640 x 480; with `full_size` their own, 1296 x 968. Raises
        DataError where something is missing.
        """
        if images < 0 or (seed is not None and seed < 0):
            raise ConfigError(f"images and seed must not be negative, got {images} and {seed}")
        root = Path(root).absolute()
        present = find_scenes(root)
        names = choose_scenes(root, list(present), split, scenes)
        self._scenes = [present[name] for name in names if name in present]
        self._seed, self._full_size = seed, full_size
        self._views: dict[int, dict[str, RgbdFrame]] = {}
        self._passed_over = 0
        labelled = sum(scene.labelled for scene in self._scenes)
        imaged = sum(scene.frames is not None for scene in self._scenes)
        self.label_set = LabelSet.named("scannet") if labelled else None
        self.camera_names = tuple(f"image_{i}" for i in range(images)) if imaged else ()
        self._notes = []
        if absent := len(names) - len(self):
            self._notes.append(f"{absent} of {len(names)} scenes of split {split} are not here: left out")
        if labelled < len(self):
            self._notes.append(f"{len(self) - labelled} of {len(self)} scenes have no labels")
        if images and imaged < len(self):
            self._notes.append(f"{len(self) - imaged} of {len(self)} scenes have no RGB-D frames")

    @property
    def notes(self) -> tuple[str, ...]:
        passed_over = f"{self._passed_over} images without a valid pose were passed over so far"
        return (*self._notes, passed_over) if self._passed_over else tuple(self._notes)

    def __len__(self) -> int:
        return len(self._scenes)

    def __getitem__(self, index: int) -> Frame:
        index = range(len(self))[index]
        scene, views = self._scenes[index], self._views_of(index)
        vertices = scene.vertices()
        scan = LidarScan(
            xyz=np.column_stack([vertices[axis] for axis in "xyz"]).astype(np.float32),
            rgb=np.column_stack([vertices[colour] for colour in ("red", "green", "blue")]).astype(np.uint8),
            stamp_ns=STAMP_NS,
            frame_id=SCENE_FRAME,
        )
        world_from_scene = scene.aligned_from_scene()
        return Frame(
            scan=scan,
            world_from_lidar=world_from_scene,
            images={name: self._image(name, view) for name, view in views.items()},
            world_from_camera={name: world_from_scene @ _pose(view) for name, view in views.items()},
            labels=self._labels(scene, len(vertices)),
        )

    def mounting(self, index: int) -> Mapping[str, SE3]:
        views = self._views_of(range(len(self))[index])
        return {SCENE_FRAME: SE3.identity(), **{name: _pose(view) for name, view in views.items()}}

    def _views_of(self, index: int) -> dict[str, RgbdFrame]:
        """The frames of a scene that become its images. The choice is kept: it may take a walk through a
        file of gigabytes."""
        if index not in self._views:
            self._views[index] = self._chosen(self._scenes[index])
        return self._views[index]

    def _chosen(self, scene: Scene) -> dict[str, RgbdFrame]:
        """The scan, in order or shuffled, is cut into as many parts as images are wanted, and of each part
        the first frame with a pose is taken."""
        if scene.frames is None or not self.camera_names:
            return {}
        frames = scene.open_frames()
        order = np.arange(len(frames))
        if self._seed is not None:
            order = np.random.default_rng([self._seed, *scene.name.encode()]).permutation(order)
        views = {}
        for name, part in zip(self.camera_names, np.array_split(order, len(self.camera_names)), strict=True):
            for number in part.tolist():
                frame = frames[number]
                if np.isfinite(frame.world_from_camera).all():
                    views[name] = frame
                    break
                self._passed_over += 1
        return views

    def _image(self, name: str, view: RgbdFrame) -> CameraImage:
        rgb, encoded = view.read_rgb()
        depth_m = view.read_depth_m()
        height, width = rgb.shape[:2] if self._full_size else depth_m.shape
        camera = resized(view.colour_camera, width, height)
        if rgb.shape[:2] != (height, width):
            rgb, encoded = _scaled(rgb, width, height), None
        return CameraImage(
            rgb=rgb,
            camera=camera,
            stamp_ns=STAMP_NS,
            frame_id=name,
            encoded=encoded,
            depth_m=_depth_seen_by(camera, depth_m, view.depth_camera),
        )

    def _labels(self, scene: Scene, points: int) -> SemanticLabels | None:
        if self.label_set is None or not scene.labelled:
            return None
        raw = scene.nyu40_ids()
        if len(raw) != points:
            raise DataError(
                f"{scene.folder} has {len(raw)} labels but its mesh {points} vertices: not of the same scan?"
            )
        return SemanticLabels(class_id=self.label_set.from_raw(np.clip(raw, 0, 65535)))


def _pose(view: RgbdFrame) -> SE3:
    """`scene_from_camera`"""
    return SE3(view.world_from_camera)


def _scaled(rgb: np.ndarray, width: int, height: int) -> np.ndarray:
    from PIL import Image

    return np.array(Image.fromarray(rgb).resize((width, height), Image.Resampling.BILINEAR))


def _depth_seen_by(camera: Camera, depth_m: np.ndarray, depth_camera: Camera) -> np.ndarray:
    """(H, W) float32: at each pixel of `camera` the nearest of the depths (H', W'); both are in one place."""
    height, width = depth_m.shape
    ours, theirs = camera.matrix, resized(depth_camera, width, height).matrix
    column, row = (
        (np.arange(size) - ours[i, 2]) * theirs[i, i] / ours[i, i] + theirs[i, 2]
        for i, size in enumerate((camera.width, camera.height))
    )
    framed = np.pad(depth_m, 1, constant_values=np.nan)
    columns = np.clip(np.rint(column).astype(np.int64), -1, width) + 1
    rows = np.clip(np.rint(row).astype(np.int64), -1, height) + 1
    return framed[np.ix_(rows, columns)]

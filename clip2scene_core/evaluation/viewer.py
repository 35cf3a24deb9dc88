"""Frames in the rerun viewer: clouds in the colours of their classes, and the images around them.

Shapes: N points.
"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from clip2scene_core.errors import MissingExtraError
from clip2scene_core.geometry import SE3
from clip2scene_core.labels import LabelSet
from clip2scene_core.pairing import point_pixel_pairs
from clip2scene_core.types import Frame
from clip2scene_core.writing import whole_file

_PIXELS = -2.0
"""Radius of a point: rerun takes negative ones as pixels of the screen."""


class Viewer:
    """A rerun recording of labelled frames, seen live or kept in a file; for a `with` block."""

    def __init__(self, label_set: LabelSet, file: Path | None = None) -> None:
        """Opens rerun's window at the start of the block, or has written `file` (.rrd) at its end.

        Raises MissingExtraError without rerun-sdk.
        """
        try:
            import rerun
        except ImportError as error:
            raise MissingExtraError("rerun-sdk", "viz") from error
        self._rerun = rerun
        self._recording = rerun.RecordingStream("clip2scene")
        self._file = file
        self._classes = [(c.id, c.name, c.colour) for c in label_set.classes]
        self._finish = ExitStack()

    def __enter__(self) -> Viewer:
        if self._file is None:
            self._recording.spawn()
        else:
            self._recording.save(self._finish.enter_context(whole_file(self._file)))
        self._finish.callback(self._recording.disconnect)  # before the file gets its name
        self._recording.log("world", self._rerun.AnnotationContext(self._classes), static=True)
        return self

    def __exit__(self, *error: Any) -> None:
        self._finish.__exit__(*error)

    def show(self, frame: Frame, class_id: np.ndarray) -> None:
        """A frame at the time of its scan: its points (N,) by class, in the fixed frame and in each image."""
        log, rerun = self._recording.log, self._rerun
        self._recording.set_time("time", timestamp=np.datetime64(frame.scan.stamp_ns, "ns"))
        seen = np.flatnonzero(np.isfinite(frame.scan.xyz).all(axis=1))
        log("world/lidar", self._pose(frame.world_from_lidar))
        log("world/lidar", rerun.Points3D(frame.scan.xyz[seen], class_ids=class_id[seen], radii=_PIXELS))
        for name, image in frame.images.items():
            entity, camera = f"world/{name}", image.camera
            log(entity, self._pose(frame.world_from_camera[name]))
            log(
                entity,
                rerun.Pinhole(image_from_camera=camera.matrix, resolution=(camera.width, camera.height)),
            )
            log(entity, rerun.Image(image.rgb).compress(jpeg_quality=85))
            pairs = point_pixel_pairs(frame, name)
            # The centre of rerun's first pixel is (0.5, 0.5).
            points = rerun.Points2D(pairs.pixel + 0.5, class_ids=class_id[pairs.row], radii=_PIXELS)
            log(f"{entity}/points", points)

    def _pose(self, world_from_sensor: SE3) -> Any:
        return self._rerun.Transform3D(
            translation=world_from_sensor.translation, mat3x3=world_from_sensor.rotation
        )

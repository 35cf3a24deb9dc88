"""Pictures of labels: of a scan from above and projected into the camera images, and of an image's pixels.

Shapes: N points, H x W pixels.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from clip2scene_core.errors import DataError
from clip2scene_core.geometry import SE3
from clip2scene_core.labels import LabelSet
from clip2scene_core.pairing import point_pixel_pairs
from clip2scene_core.types import Frame, SemanticLabels
from clip2scene_core.writing import whole_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BACKGROUND = "#14161a"
LEGEND_COLUMNS = 6
"""Of names below a picture, at most."""
LEGEND_COLUMN_IN = 1.75
"""Width of a name with its share."""


def save_picture(
    path: Path,
    frame: Frame,
    labels: SemanticLabels | None,
    label_set: LabelSet | None,
    *,
    base_from_lidar: SE3,
    title: str = "",
    range_m: float = 40.0,
) -> None:
    """Writes a PNG: bird's eye view beside every camera image with the labelled points drawn into it.

    The vehicle, whose frame `base` has x forward and y left, drives upwards in the view from above. Without
    images, the other half shows what the sensor sees all around. Raises DataError without labels and a
    label set.
    """
    from matplotlib.figure import Figure

    if labels is None or label_set is None:
        raise DataError("no picture: the scan has no labels, or nothing says what they mean")
    one = len(frame.images) == 1
    figure = Figure(figsize=(16, 7.6 if one else 8.8), dpi=100, facecolor=BACKGROUND, layout="constrained")
    ((above, beside),) = figure.subfigures(1, 2, squeeze=False, width_ratios=(7, 9) if one else (8, 8))
    for part in (above, beside):
        part.set_facecolor(BACKGROUND)
    xyz_base = base_from_lidar.apply(frame.scan.xyz)
    draw_birds_eye(above.subplots(), xyz_base, labels.class_id, label_set, range_m=range_m)
    if frame.images:
        columns = 1 if len(frame.images) < 4 else 2
        rows = -(-len(frame.images) // columns)
        axes = beside.subplots(rows, columns, squeeze=False).ravel()
        for axis, name in zip(axes, frame.images, strict=False):
            draw_overlay(axis, frame, name, labels.class_id, label_set)
        for axis in axes[len(frame.images) :]:
            axis.axis("off")
    else:
        draw_panorama(beside.subplots(), xyz_base - base_from_lidar.translation, labels.class_id, label_set)
    _legend(figure, labels.class_id, label_set)
    figure.suptitle(title, color="white", fontsize=12)
    with whole_file(path) as temporary:
        figure.savefig(temporary, format="png", facecolor=BACKGROUND)


def save_overlay(path: Path, rgb: np.ndarray, class_id: np.ndarray, label_set: LabelSet) -> None:
    """Writes a PNG: an image (H, W, 3) uint8 under its classes (H, W), with their names below.

    Pixels of the image are pixels of the picture, up to 2000 in a row; the image shows through where it
    has contrast.
    """
    from matplotlib.figure import Figure

    height, width = class_id.shape
    inches = np.array([np.clip(width, 600, 2000) / 100, 0.0])
    inches[1] = inches[0] * height / width
    legend = 0.25 * (-(-len(np.unique(class_id)) // _legend_columns(inches[0])) + 1)
    figure = Figure(figsize=(inches[0], inches[1] + legend), dpi=100, facecolor=BACKGROUND)
    axis = figure.add_axes((0, legend / (inches[1] + legend), 1, inches[1] / (inches[1] + legend)))
    axis.imshow((0.45 * rgb + 0.55 * label_set.palette()[class_id]).astype(np.uint8))
    axis.axis("off")
    _legend(figure, class_id, label_set)
    with whole_file(path) as temporary:
        figure.savefig(temporary, format="png", facecolor=BACKGROUND)


def save_class_ids(path: Path, class_id: np.ndarray) -> None:
    """Writes classes (H, W) as a grey PNG of 8 bits, of 16 where an id needs them."""
    from PIL import Image

    depth = np.uint8 if class_id.max(initial=0) < 256 else np.uint16
    with whole_file(path) as temporary:
        Image.fromarray(class_id.astype(depth)).save(temporary)


def draw_birds_eye(
    axis: Axes, xyz_base: np.ndarray, class_id: np.ndarray, label_set: LabelSet, *, range_m: float
) -> None:
    """Points (N, 3) from above in their classes' colours, high ones over low ones."""
    order = np.argsort(xyz_base[:, 2])
    near = (np.abs(xyz_base[order, :2]) < range_m).all(axis=1)
    rows = order[near]
    axis.scatter(
        -xyz_base[rows, 1],
        xyz_base[rows, 0],
        c=label_set.palette()[class_id[rows]] / 255.0,
        s=1.2,
        marker="s",
        linewidths=0,
    )
    axis.annotate("", (0, 3), (0, -1), arrowprops={"color": "white", "width": 1.5, "headwidth": 7})
    axis.plot([range_m - 12, range_m - 2], [-range_m + 2] * 2, color="white")
    axis.text(range_m - 7, -range_m + 3, "10 m", color="white", ha="center")
    axis.set(xlim=(-range_m, range_m), ylim=(-range_m, range_m), aspect="equal", facecolor=BACKGROUND)
    axis.set(xticks=[], yticks=[])


def draw_overlay(
    axis: Axes, frame: Frame, camera_name: str, class_id: np.ndarray, label_set: LabelSet
) -> None:
    """An image with the points that its camera sees, in their classes' colours."""
    image = frame.images[camera_name]
    pairs = point_pixel_pairs(frame, camera_name)
    far_first = np.argsort(-pairs.depth_m)
    column, row = pairs.pixel[far_first].T
    axis.imshow(image.rgb)
    axis.scatter(
        column,
        row,
        c=label_set.palette()[class_id[pairs.row[far_first]]] / 255.0,
        s=np.clip(60 / pairs.depth_m[far_first], 1.0, 8.0),
        linewidths=0,
        alpha=0.85,
    )
    right, bottom = image.camera.width - 0.5, image.camera.height - 0.5
    axis.set(xlim=(-0.5, right), ylim=(bottom, -0.5), xticks=[], yticks=[])
    axis.set_title(camera_name, color="white", fontsize=9)


def draw_panorama(axis: Axes, xyz: np.ndarray, class_id: np.ndarray, label_set: LabelSet) -> None:
    """What the sensor sees all around: azimuth to the sides (forward in the middle), elevation upwards."""
    distance_m = np.hypot(xyz[:, 0], xyz[:, 1])
    far_first = np.argsort(-distance_m)
    azimuth = -np.degrees(np.arctan2(xyz[:, 1], xyz[:, 0]))[far_first]
    elevation = np.degrees(np.arctan2(xyz[:, 2], distance_m))[far_first]
    colour = label_set.palette()[class_id[far_first]] / 255.0
    axis.scatter(azimuth, elevation, c=colour, s=1.5, marker="s", linewidths=0)
    axis.set(xlim=(-180, 180), ylim=(-30, 15), facecolor=BACKGROUND, aspect=3.0)
    axis.set_xticks([-90, 0, 90], ["left", "front", "right"], color="white")
    axis.set_yticks([])


def _legend_columns(width_in: float) -> int:
    return min(int(width_in / LEGEND_COLUMN_IN), LEGEND_COLUMNS)


def _legend(figure: Figure, class_id: np.ndarray, label_set: LabelSet) -> None:
    from matplotlib.lines import Line2D

    share = np.bincount(class_id.ravel(), minlength=65536) / max(class_id.size, 1)
    handles = [
        Line2D(
            [],
            [],
            marker="s",
            linestyle="",
            color=tuple((np.array(c.colour) / 255).tolist()),
            label=f"{c.name} {share[c.id]:.0%}",
        )
        for c in label_set.classes
        if share[c.id] > 0
    ]
    figure.legend(
        handles=handles,
        loc="outside lower center" if figure.get_layout_engine() else "lower center",
        ncols=_legend_columns(figure.get_figwidth()),
        frameon=False,
        labelcolor="white",
        fontsize=10,
    )

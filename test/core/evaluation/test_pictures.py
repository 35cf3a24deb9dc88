"""Pictures: points of a known class have to show their colour where they lie."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image
from scipy import ndimage

from clip2scene_core.cameras import Camera
from clip2scene_core.errors import DataError
from clip2scene_core.evaluation.pictures import (
    draw_birds_eye,
    draw_overlay,
    draw_panorama,
    save_class_ids,
    save_overlay,
    save_picture,
)
from clip2scene_core.geometry import SE3
from clip2scene_core.labels import LabelSet
from clip2scene_core.types import CameraImage, SemanticLabels

STREET = LabelSet.named("street")
CAR, PERSON, ROAD = (STREET.id_of(name) for name in ("car", "person", "road"))

CAMERA = Camera(width=200, height=100, matrix=np.array([[100.0, 0, 100], [0, 100.0, 50], [0, 0, 1]]))
LIDAR_FROM_CAMERA = SE3.from_rotation_translation(
    np.array([[0.0, 0, 1], [-1, 0, 0], [0, -1, 0]]), np.array([0.0, 0, -0.5])
)
"""Looks forward from half a metre below the LiDAR."""


def drawn(draw, **limits):
    """(400, 400, 3) pixels of a square axis that fills the picture."""
    figure = Figure(figsize=(4, 4), dpi=100)
    canvas = FigureCanvasAgg(figure)
    axis = figure.add_axes((0, 0, 1, 1))
    draw(axis)
    axis.set(aspect="auto", **limits)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[:, :, :3].astype(int)


def centre_of(picture, class_id, tolerance=40):
    """(column, row) in 0..1 of the middle of the pixels in a class's colour; fails where there are none."""
    like = np.abs(picture - STREET.palette()[class_id].astype(int)).max(axis=2) < tolerance
    assert like.any(), f"no pixel has the colour of {class_id}"
    row, column = np.argwhere(like).mean(axis=0)
    return column / picture.shape[1], row / picture.shape[0]


def spot(x, y, z, rows=400, radius_m=0.7):
    """Points around a place, enough to be seen in a picture."""
    return np.random.default_rng(0).normal((x, y, z), radius_m / 2, (rows, 3)).astype(np.float32)


def birds_eye(xyz, class_id):
    return drawn(lambda axis: draw_birds_eye(axis, xyz, np.array(class_id), STREET, range_m=40.0))


@pytest.mark.parametrize(
    ("x", "y", "column", "row"),
    [(20, 20, 0.25, 0.25), (20, -20, 0.75, 0.25), (-20, 20, 0.25, 0.75), (-30, -10, 0.625, 0.875)],
)
def test_from_above_ahead_is_up_and_left_is_left(x, y, column, row):
    picture = birds_eye(spot(x, y, 0), [CAR] * 400)
    assert centre_of(picture, CAR) == pytest.approx((column, row), abs=0.02)


def test_from_above_high_points_hide_low_ones():
    low, high = spot(10, 10, -2, rows=4000, radius_m=2), spot(10, 10, 8, rows=4000, radius_m=2)
    for order in (1, -1):
        xyz, ids = np.concatenate([low, high][::order]), ([ROAD] * 4000 + [PERSON] * 4000)[::order]
        picture = birds_eye(xyz, ids)
        middle = picture[147:153, 147:153].reshape(-1, 3)
        np.testing.assert_array_equal(np.median(middle, axis=0), STREET.palette()[PERSON])


def test_points_that_are_not_numbers_or_too_far_are_not_drawn():
    xyz = np.concatenate([spot(20, 20, 0), [[np.nan] * 3, [10, 10, np.nan], [1e6, 0, 0]]]).astype(np.float32)
    picture = birds_eye(xyz, [CAR] * 400 + [PERSON] * 3)
    assert centre_of(picture, CAR) == pytest.approx((0.25, 0.25), abs=0.02)


@pytest.fixture
def scene(make_frame):
    """Makes a frame of points (N, 3) in the LiDAR's frame with a black image; the vehicle is somewhere."""

    def make(xyz):
        world_from_lidar = SE3.from_yaw(2.0, np.array([300.0, -70.0, 4.0]))
        image = CameraImage(rgb=np.zeros((100, 200, 3), np.uint8), camera=CAMERA, stamp_ns=0, frame_id="cam")
        return make_frame(
            xyz,
            world_from_lidar=world_from_lidar,
            images={"front": image},
            world_from_camera={"front": world_from_lidar @ LIDAR_FROM_CAMERA},
        )

    return make


def overlay(frame, class_id):
    return drawn(lambda axis: draw_overlay(axis, frame, "front", np.array(class_id), STREET))


@pytest.mark.parametrize(
    ("point", "pixel"),
    [
        ((10, 0, -0.5), (100, 50)),  # straight ahead of the camera
        ((10, 5, -0.5), (50, 50)),  # 5 m to the left at 10 m: 100 px * 5 / 10
        ((5, -2, -2.0), (140, 80)),  # 2 m to the right and 1.5 m below at 5 m
    ],
)
def test_points_are_drawn_where_the_camera_sees_them(point, pixel, scene):
    frame = scene(spot(*point, radius_m=0.2))
    column, row = centre_of(overlay(frame, [PERSON] * 400), PERSON)
    assert (200 * column, 100 * row) == pytest.approx(pixel, abs=2)


def test_what_the_camera_cannot_see_is_not_drawn(scene):
    behind, beside = spot(-10, 0, -0.5), spot(5, 12, -0.5)
    nowhere, too_near = np.full((10, 3), np.nan, np.float32), spot(0.5, 0, -0.5, radius_m=0.1)
    picture = overlay(scene(np.concatenate([behind, beside, nowhere, too_near])), [PERSON] * 1210)
    assert not picture.any(), "the image is black"


def test_a_wall_hides_what_is_behind_it(scene):
    y, z = np.meshgrid(np.linspace(-6, 6, 41), np.linspace(-3, 2, 17))  # with gaps to look through
    wall = np.column_stack([np.full(y.size, 6.0), y.ravel(), z.ravel()])
    hidden = spot(14, 0, -0.5)
    ids = [ROAD] * len(wall) + [PERSON] * len(hidden)
    picture = overlay(scene(np.concatenate([wall, hidden])), ids)
    assert (np.abs(picture - STREET.palette()[PERSON].astype(int)).max(axis=2) > 40).all()
    without_wall = overlay(scene(hidden), [PERSON] * len(hidden))
    assert centre_of(without_wall, PERSON) == pytest.approx((0.5, 0.5), abs=0.02)


@pytest.mark.parametrize(("x", "y", "column"), [(10, 0, 0.5), (0, 10, 0.25), (0, -10, 0.75), (-7, 7, 0.125)])
def test_the_panorama_has_ahead_in_the_middle_and_left_on_the_left(x, y, column):
    xyz = spot(x, y, 0, radius_m=0.3)
    picture = drawn(lambda axis: draw_panorama(axis, xyz, np.array([CAR] * 400), STREET))
    # elevations from -30 to 15 degrees: the horizon lies a third below the upper edge
    assert centre_of(picture, CAR) == pytest.approx((column, 1 / 3), abs=0.02)


def saved(path, frame, class_id, **options):
    labels = SemanticLabels(class_id=np.array(class_id, np.uint16))
    save_picture(path, frame, labels, STREET, **{"base_from_lidar": SE3.identity()} | options)
    with Image.open(path) as image:
        assert image.format == "PNG"
        return np.asarray(image.convert("RGB")).astype(int)


@pytest.mark.parametrize("label_set", [None, STREET])
def test_without_labels_or_their_names_there_is_no_picture(label_set, make_frame, tmp_path):
    path, frame = tmp_path / "picture.png", make_frame(spot(0, 15, 0))
    labels = None if label_set else SemanticLabels(class_id=np.full(400, CAR, np.uint16))
    with pytest.raises(DataError, match="no picture: the scan has no labels, or nothing says what they mean"):
        save_picture(path, frame, labels, label_set, base_from_lidar=SE3.identity())
    assert not path.exists()


def test_a_picture_is_written_whole(scene, tmp_path):
    path = tmp_path / "new" / "picture.png"
    picture = saved(path, scene(spot(15, 8, -0.5)), [CAR] * 400, title="a car ahead on the left")
    assert picture.shape == (760, 1600, 3)
    assert list(path.parent.iterdir()) == [path]
    like_a_car = np.abs(picture - STREET.palette()[CAR].astype(int)).max(axis=2) < 40
    above, beside = like_a_car[:690, :700], like_a_car[:690, 700:]
    assert above.any(), "in the view from above"
    assert beside.any(), "in the image"
    assert like_a_car[700:].any(), "in the legend"
    assert np.argwhere(above)[:, 1].mean() < 350, "on the left"


def test_the_vehicle_drives_upwards_whatever_way_its_sensor_points(make_frame, tmp_path):
    """x of this LiDAR is right, y is forward, as on nuScenes; the car ahead lies on its y axis."""
    forward = SE3.from_yaw(-np.pi / 2, np.zeros(3))
    frame = make_frame(spot(0, 15, -0.5))
    picture = saved(tmp_path / "picture.png", frame, [CAR] * 400, base_from_lidar=forward)
    like_a_car = np.abs(picture - STREET.palette()[CAR].astype(int)).max(axis=2) < 40
    rows, columns = np.nonzero(like_a_car[:780, :780])
    assert abs(columns.mean() - 400) < 20, "straight"
    assert rows.mean() < 350, "ahead"
    middle = 800 + np.nonzero(like_a_car[:780, 800:])[1].mean()
    assert abs(middle - 1200) < 40, "in front in the panorama"


@pytest.mark.parametrize("cameras", [0, 1, 4, 6])
def test_any_number_of_cameras(cameras, scene, make_frame, tmp_path):
    frame = scene(spot(15, 0, -0.5))
    image, pose = frame.images["front"], frame.world_from_camera["front"]
    names = [f"camera {number}" for number in range(cameras)]
    frame = make_frame(
        frame.scan.xyz,
        world_from_lidar=frame.world_from_lidar,
        images=dict.fromkeys(names, image),
        world_from_camera=dict.fromkeys(names, pose),
    )
    picture = saved(tmp_path / "picture.png", frame, [CAR] * 400)
    blue = np.abs(picture[:700] - STREET.palette()[CAR].astype(int)).max(axis=2) < 40
    _, blobs = ndimage.label(ndimage.binary_dilation(blue, iterations=15))
    assert blobs == 1 + max(cameras, 1), "from above, and once per camera or in the panorama"


@pytest.mark.parametrize("xyz", [np.zeros((0, 3)), np.full((3, 3), np.nan)])
def test_clouds_without_points_have_a_picture_too(xyz, scene, make_frame, tmp_path):
    for frame in (scene(xyz), make_frame(xyz)):
        picture = saved(tmp_path / "picture.png", frame, [STREET.ignore_id] * len(xyz))
        assert picture.shape[1:] == (1600, 3)


def test_a_picture_that_fails_leaves_the_old_one(scene, tmp_path, monkeypatch):
    path = tmp_path / "picture.png"
    path.write_text("old")

    def half(self, target, **options):
        target.write_text("half")
        raise OSError("no space left on device")

    monkeypatch.setattr(Figure, "savefig", half)
    with pytest.raises(OSError, match="no space"):
        saved(path, scene(spot(15, 0, 0)), [CAR] * 400)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_an_overlay_shows_a_pixel_a_pixel_in_the_colour_of_its_class(tmp_path):
    """An image of two halves, wider than the narrowest picture; what lies below it is the legend."""
    ids = np.full((200, 800), ROAD, np.uint16)
    ids[:, 400:] = CAR
    save_overlay(tmp_path / "overlay.png", np.zeros((200, 800, 3), np.uint8), ids, STREET)
    picture = np.asarray(Image.open(tmp_path / "overlay.png").convert("RGB")).astype(int)
    assert picture.shape[1] == 800 and picture.shape[0] > 200
    for column, class_id in ((10, ROAD), (390, ROAD), (410, CAR), (790, CAR)):
        for row in (5, 195):
            np.testing.assert_allclose(picture[row, column], 0.55 * STREET.palette()[class_id], atol=2)
    assert picture[200:].max() > 200, "no legend"


@pytest.mark.parametrize(("largest", "mode"), [(255, "L"), (256, "I;16")])
def test_class_ids_are_kept_as_they_are(tmp_path, largest, mode):
    ids = np.array([[0, 1, largest]], np.uint16)
    save_class_ids(tmp_path / "ids.png", ids)
    with Image.open(tmp_path / "ids.png") as image:
        assert image.mode == mode
        np.testing.assert_array_equal(np.asarray(image), ids)

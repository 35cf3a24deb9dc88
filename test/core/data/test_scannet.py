"""ScanNet scenes written by the test as the formats are documented: a room whose walls are known exactly."""

from __future__ import annotations

import json
import struct
import zlib
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import write_text

from clip2scene_core.cameras import in_image, project
from clip2scene_core.data import open_source
from clip2scene_core.data.bag_writer import write_bag
from clip2scene_core.data.open import parse_options
from clip2scene_core.data.scannet import ScannetSource
from clip2scene_core.errors import CalibrationError, ConfigError, DataError
from clip2scene_core.geometry import depth_agrees

SCENE = "scene0000_00"
WIDTH, HEIGHT = 160, 120
"""Of the pictures; depths have half of that, and intrinsics that are not quite half, as ScanNet's are."""
COLOUR_K = np.float32([[145, 0, 80.5], [0, 146, 59], [0, 0, 1]])
DEPTH_K = np.float32([[72.5, 0, 40.25], [0, 73, 29.5], [0, 0, 1]])
FRAMES = 10
WALL_X_M, SCREEN_X_M, SCREEN_Y_M = 4.0, 2.0, 0.3
"""A wall across the room, and before it a screen on its left, where y is more than SCREEN_Y_M."""


def scene_from_camera(number: int) -> np.ndarray:
    """Looks along x, 1.2 m above the floor, 10 cm further to the left each time."""
    pose = np.array([[0, 0, 1, 0.5], [-1, 0, 0, 0.1 * number - 0.5], [0, -1, 0, 1.2], [0, 0, 0, 1]])
    return pose.astype(np.float32)


def colours_of(xyz: np.ndarray) -> np.ndarray:
    """(..., 3) uint8: every place has a colour of its own."""
    return np.clip([100, 110, 40] + xyz * [20, 60, 60], 0, 255).astype(np.uint8)


def vertices() -> tuple[np.ndarray, np.ndarray]:
    """(N, 3) float32 points of the wall and the screen, every 20 cm, and the x that they stand at."""
    y, z = (grid.ravel() for grid in np.meshgrid(np.arange(-1.5, 1.6, 0.2), np.arange(0.1, 2.4, 0.2)))
    wall = np.column_stack([np.full_like(y, WALL_X_M), y, z])
    screen = wall[wall[:, 1] > SCREEN_Y_M] * (0, 1, 1) + (SCREEN_X_M, 0, 0)
    xyz = np.concatenate([wall, screen]).astype(np.float32)
    return xyz, xyz[:, 0]


def rendered(number: int, matrix: np.ndarray, width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
    """Places (H, W, 3) that the pixels show, in the scene, and their depths (H, W), by a ray for each."""
    u, v = np.meshgrid(np.arange(width), np.arange(height))
    x, y = (u - matrix[0, 2]) / matrix[0, 0], (v - matrix[1, 2]) / matrix[1, 1]
    rays = np.stack([x, y, np.ones_like(x)], axis=2)
    pose = scene_from_camera(number).astype(np.float64)
    rays, start = rays @ pose[:3, :3].T, pose[:3, 3]
    depth = np.full((height, width), SCREEN_X_M - start[0])  # Depth is along x, which rays advance by 1.
    beside = (start + rays * depth[..., None])[..., 1] <= SCREEN_Y_M
    depth[beside] = WALL_X_M - start[0]
    return start + rays * depth[..., None], depth


@cache
def jpeg_of(number: int) -> bytes:
    places, _ = rendered(number, COLOUR_K, WIDTH, HEIGHT)
    bgr = colours_of(places)[..., ::-1]
    finest = [cv2.IMWRITE_JPEG_QUALITY, 100, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, 0x111111]
    return cv2.imencode(".jpg", bgr, finest)[1].tobytes()


@cache
def depth_mm_of(number: int) -> np.ndarray:
    """(H', W') uint16; the sensor saw nothing in the lowest rows."""
    depth = np.rint(rendered(number, DEPTH_K, WIDTH // 2, HEIGHT // 2)[1] * 1000).astype(np.uint16)
    depth[-4:] = 0
    return depth


def ply(columns: dict[str, tuple[str, np.ndarray]], order="<") -> bytes:
    """A mesh of these vertices and one face; a column is the name of its type and its values."""
    codes = {"float": "f4", "uchar": "u1", "ushort": "u2"}
    rows = np.empty(
        len(next(iter(columns.values()))[1]), [(n, order + codes[kind]) for n, (kind, _) in columns.items()]
    )
    for name, (_, values) in columns.items():
        rows[name] = values
    kind = {"<": "little", ">": "big"}[order]
    properties = "".join(f"property {kind} {name}\n" for name, (kind, _) in columns.items())
    header = (
        f"ply\nformat binary_{kind}_endian 1.0\ncomment by a test\nelement vertex {len(rows)}\n{properties}"
        "element face 1\nproperty list uchar int vertex_indices\nend_header\n"
    )
    return header.encode() + rows.tobytes() + struct.pack(f"{order}B3i", 3, 0, 1, 2)


def mesh(order="<") -> bytes:
    xyz, _ = vertices()
    places = {axis: ("float", xyz[:, i]) for i, axis in enumerate("xyz")}
    colours = {name: ("uchar", colours_of(xyz)[:, i]) for i, name in enumerate(("red", "green", "blue"))}
    return ply(places | colours | {"alpha": ("uchar", np.full(len(xyz), 255))}, order)


def nyu40() -> np.ndarray:
    """(N,) the wall is a wall, the screen a cabinet but for one vertex of each id that the test names."""
    ids = np.where(vertices()[1] == WALL_X_M, 1, 3)
    ids[:5] = [0, 39, 40, 13, 36]
    return ids


def text_of(matrix: np.ndarray) -> str:
    return "".join(" ".join(f"{value:.9g}" for value in row) + "\n" for row in matrix)


def homogeneous(matrix: np.ndarray) -> np.ndarray:
    return np.block([[matrix, np.zeros((3, 1))], [np.zeros((1, 3)), np.ones((1, 1))]]).astype(np.float32)


def write_folder(folder: Path, poses=None) -> None:
    """As SensReader exports; `poses` by number of frame where they are not those of scene_from_camera."""
    for number in range(FRAMES):
        for kind, suffix in (("color", "jpg"), ("depth", "png"), ("pose", "txt")):
            (folder / kind).mkdir(parents=True, exist_ok=True)
            path = folder / kind / f"{number}.{suffix}"
            if kind == "color":
                path.write_bytes(jpeg_of(number))
            elif kind == "depth":
                cv2.imwrite(str(path), depth_mm_of(number))
            else:
                write_text(path, text_of((poses or {}).get(number, scene_from_camera(number))))
    write_text(folder / "intrinsic/intrinsic_color.txt", text_of(homogeneous(COLOUR_K)))
    write_text(folder / "intrinsic/intrinsic_depth.txt", text_of(homogeneous(DEPTH_K)))


def sens(poses=None, *, colours=2, depths=1, version=4, shift=1000.0) -> bytes:
    matrices = [homogeneous(COLOUR_K), np.eye(4), homogeneous(DEPTH_K), np.eye(4)]
    data = struct.pack("<IQ", version, 14) + b"StructureSensor"[:14]
    data += b"".join(matrix.astype("<f4").tobytes() for matrix in matrices)
    data += struct.pack("<2i4If", colours, depths, WIDTH, HEIGHT, WIDTH // 2, HEIGHT // 2, shift)
    data += struct.pack("<Q", FRAMES)
    for number in range(FRAMES):
        jpeg, depth = jpeg_of(number), depth_mm_of(number).astype("<u2").tobytes()
        depth = zlib.compress(depth) if depths else depth
        pose = (poses or {}).get(number, scene_from_camera(number))
        data += pose.astype("<f4").tobytes() + struct.pack("<4Q", 7, 8, len(jpeg), len(depth)) + jpeg + depth
    return data + struct.pack("<Q", 0)  # No measurements of an inertial sensor.


def write_scene(root: Path, name=SCENE, *, labels=True, frames=True) -> Path:
    folder = root / "scans" / name
    folder.mkdir(parents=True)
    (folder / f"{name}_vh_clean_2.ply").write_bytes(mesh())
    if labels:
        (folder / f"{name}_vh_clean_2.labels.ply").write_bytes(ply({"label": ("ushort", nyu40())}))
    if frames:
        (folder / f"{name}.sens").write_bytes(sens())
    return folder


@pytest.fixture
def scannet(tmp_path) -> Path:
    """One scene."""
    write_scene(tmp_path)
    return tmp_path


def test_points_are_the_vertices_with_their_colours_and_classes(scannet):
    source = open_source("scannet", scannet, images=0)
    assert (len(source), source.label_set.name, source.camera_names) == (1, "scannet", ())
    frame, (xyz, x) = source[0], vertices()
    np.testing.assert_array_equal(frame.scan.xyz, xyz)
    np.testing.assert_array_equal(frame.scan.rgb, colours_of(xyz))
    assert (frame.scan.frame_id, frame.images, source.notes) == ("scene", {}, ())
    # NYU40: unlabelled, other furniture, other property (not one of the 20), blinds (nor these), bathtub
    assert frame.labels.class_id[:5].tolist() == [0, 20, 0, 0, 19]
    names = np.array(["", *source.label_set.names])[frame.labels.class_id[5:]]
    np.testing.assert_array_equal(names, np.where(x[5:] == WALL_X_M, "wall", "cabinet"))


@pytest.mark.parametrize("full_size", [False, True])
def test_a_vertex_projects_to_the_pixel_that_shows_its_colour(scannet, full_size):
    source = ScannetSource(scannet, images=4, full_size=full_size)
    frame = source[0]
    assert source.camera_names == tuple(frame.images) == ("image_0", "image_1", "image_2", "image_3")
    for name, image in frame.images.items():
        height, width = (HEIGHT, WIDTH) if full_size else (HEIGHT // 2, WIDTH // 2)
        assert image.rgb.shape == (height, width, 3) and (image.encoded is not None) == full_size
        pixels, depth_m = project(image.camera, frame.camera_from_lidar(name).apply(frame.scan.xyz))
        seen = depth_agrees(pixels, depth_m, image.depth_m)
        assert seen.sum() > 50
        column, row = np.rint(pixels[seen]).astype(int).T
        difference = image.rgb[row, column].astype(int) - frame.scan.rgb[seen]
        assert np.abs(difference).max() <= 5, "half a pixel, and JPEG"
        assert np.abs(difference.mean(axis=0)).max() < 0.4, "a whole pixel is 1.4"


def test_depth_tells_which_vertices_the_screen_hides(scannet):
    frame = ScannetSource(scannet, images=FRAMES)[0]
    xyz, x = vertices()
    looked_at = 0
    for number, (name, image) in enumerate(frame.images.items()):
        pixels, depth_m = project(image.camera, frame.camera_from_lidar(name).apply(xyz))
        seen = depth_agrees(pixels, depth_m, image.depth_m)
        y_m = scene_from_camera(number)[1, 3]
        at_screen_m = y_m + (xyz[:, 1] - y_m) * (SCREEN_X_M - 0.5) / (x - 0.5)
        hidden = (x == WALL_X_M) & (at_screen_m > SCREEN_Y_M)
        clear = np.abs(at_screen_m - SCREEN_Y_M) > 0.03  # A pixel is 2 cm wide there.
        inside, row = in_image(image.camera, pixels), pixels[:, 1]
        look = clear & inside & (row < 55)
        np.testing.assert_array_equal(seen[look], ~hidden[look])
        looked_at += hidden[look].sum()
        assert not seen[~inside | (row > 57)].any(), "where nothing was measured"
    assert looked_at > 100


def assert_same_images(one, other):
    assert one.keys() == other.keys()
    for name, image in one.items():
        np.testing.assert_array_equal(image.rgb, other[name].rgb)
        np.testing.assert_array_equal(image.depth_m, other[name].depth_m)
        np.testing.assert_allclose(image.camera.matrix, other[name].camera.matrix, rtol=1e-6)


@pytest.mark.parametrize("depths", [0, 1])
def test_exported_frames_and_those_of_the_sens_file_are_the_same(scannet, depths):
    sens_file = scannet / "scans" / SCENE / f"{SCENE}.sens"
    sens_file.write_bytes(sens(depths=depths))
    packed = ScannetSource(scannet)[0]
    sens_file.unlink()
    write_folder(scannet / "scans" / SCENE)
    exported = ScannetSource(scannet)[0]
    assert len(packed.images) == 8
    assert_same_images(packed.images, exported.images)
    for name in packed.images:
        pose, other = packed.world_from_camera[name].matrix, exported.world_from_camera[name].matrix
        np.testing.assert_allclose(pose, other, atol=1e-6)


@pytest.mark.parametrize("place", ["scannet_frames_25k", "tasks/scannet_frames_25k", "frames_square"])
def test_frames_may_lie_beside_the_scans_with_intrinsics_of_other_names(scannet, place):
    expected = ScannetSource(scannet)[0].images
    (scannet / "scans" / SCENE / f"{SCENE}.sens").unlink()
    write_folder(scannet / place / SCENE)
    for kind in ("color", "depth"):
        old = scannet / place / SCENE / f"intrinsic/intrinsic_{kind}.txt"
        old.rename(scannet / place / SCENE / f"intrinsics_{kind}.txt")
    for root in (scannet, scannet / "scans", scannet / "scans" / SCENE):
        assert_same_images(ScannetSource(root)[0].images, expected)


def test_shrunk_pictures_have_the_intrinsics_of_the_description(scannet):
    """A quarter of 640 x 480: fx 580 / 4 = 145, and cx (323.5 + 0.5) / 4 - 0.5 = 80.5."""
    folder = scannet / "scans" / SCENE
    (folder / f"{SCENE}.sens").unlink()
    write_folder(folder)
    (folder / "intrinsic/intrinsic_color.txt").unlink()
    (folder / "intrinsic/intrinsic_depth.txt").unlink()
    description = "colorHeight = 480\ncolorWidth = 640\nfx_color = 580\nfy_color = 584\nmx_color = 323.5\n"
    write_text(folder / f"{SCENE}.txt", description + "my_color = 237.5\nsceneType = Apartment\n")
    camera = ScannetSource(scannet, full_size=True)[0].images["image_0"].camera
    np.testing.assert_allclose(camera.matrix, COLOUR_K, atol=1e-9)


def test_the_world_is_the_scene_with_walls_along_the_axes(scannet):
    """A quarter turn about z, then 3 m along x; what cameras see of the scene stays."""
    before = ScannetSource(scannet)[0]
    assert before.world_from_lidar.matrix.tolist() == np.eye(4).tolist()
    turn = "0 -1 0 3 1 0 0 0 0 0 1 0 0 0 0 1"
    write_text(scannet / "scans" / SCENE / f"{SCENE}.txt", f"axisAlignment = {turn} \nsceneType = Hall\n")
    after = ScannetSource(scannet)[0]
    np.testing.assert_array_equal(after.scan.xyz, before.scan.xyz)
    np.testing.assert_allclose(after.world_from_lidar.apply(np.array([1.0, 2, 3])), [1, 1, 3])
    np.testing.assert_allclose(after.world_from_camera["image_0"].translation, [3.5, 0.5, 1.2], atol=1e-6)
    one, other = (frame.camera_from_lidar("image_0").matrix for frame in (before, after))
    np.testing.assert_allclose(one, other, atol=1e-9)


def numbers_of(frame) -> list[int]:
    """Which of the FRAMES its images are."""
    return [round(10 * pose.translation[1] + 5) for pose in frame.world_from_camera.values()]


def test_images_are_spread_evenly_or_drawn_by_a_seed(scannet):
    assert numbers_of(ScannetSource(scannet, images=5)[0]) == [0, 2, 4, 6, 8]
    drawn = [numbers_of(ScannetSource(scannet, images=5, seed=seed)[0]) for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert all(len(set(numbers)) == 5 and set(numbers) <= set(range(FRAMES)) for numbers in drawn)
    assert len(ScannetSource(scannet, images=99)[0].images) == FRAMES
    assert parse_options("scannet", scannet, ["seed=3", "images=2", "full_size=true"]) == {
        "seed": 3,
        "images": 2,
        "full_size": True,
    }


@pytest.mark.parametrize("packed", [True, False])
def test_frames_whose_pose_was_lost_are_passed_over_and_counted(scannet, packed):
    lost = {number: np.full((4, 4), -np.inf) for number in (0, 4, 5, 6, 7)}
    if packed:
        (scannet / "scans" / SCENE / f"{SCENE}.sens").write_bytes(sens(lost))
    else:
        write_folder(scannet / "scans" / SCENE, lost)
    source = ScannetSource(scannet, images=5)
    assert source.notes == ()
    for _ in range(2):  # Counted once.
        assert list(zip(source[0].images, numbers_of(source[0]), strict=True)) == [
            ("image_0", 1),
            ("image_1", 2),
            ("image_4", 8),
        ]
        assert source.notes == ("5 images without a valid pose were passed over so far",)


def test_splits_are_lists_beside_the_scans_or_any_file(tmp_path):
    for name in ("scene0000_00", "scene0001_00", "scene0002_00"):
        write_scene(tmp_path, name, labels=name != "scene0001_00", frames=name != "scene0002_00")
    write_text(tmp_path / "scannetv2_val.txt", "scene0002_00\nscene0000_00\nscene0706_00\n")
    for root in (tmp_path, tmp_path / "scans"):
        source = ScannetSource(root, split="val")
        assert [len(frame.images) for frame in source] == [0, 8]
        assert source.notes == (
            "1 of 3 scenes of split val are not here: left out",
            "1 of 2 scenes have no RGB-D frames",
        )
    assert len(ScannetSource(tmp_path, split="val", scenes=["scene0001_00", "scene0002_00"])) == 1
    write_text(tmp_path / "few.txt", "scene0001_00\n")
    few = ScannetSource(tmp_path, split=str(tmp_path / "few.txt"))
    assert (len(few), few.label_set, few[0].labels) == (1, None, None)
    assert few.notes == ("1 of 1 scenes have no labels",)
    assert len(ScannetSource(tmp_path)) == 3
    with pytest.raises(DataError, match=r"scannetv2_train.txt does not exist: put it there, it comes with"):
        ScannetSource(tmp_path, split="train")
    with pytest.raises(DataError, match=r"trian does not exist: split must be train, val, test or a file"):
        ScannetSource(tmp_path, split="trian")
    write_text(tmp_path / "few.txt", "scene0706_00\n")
    with pytest.raises(DataError, match=r"has none of the 1 scenes of split .*few.txt"):
        ScannetSource(tmp_path, split=str(tmp_path / "few.txt"))


def test_labels_of_the_aggregation_where_there_is_no_labelled_mesh(scannet):
    """Segment 7 is the wall, 2 the screen, 9 belongs to nothing; names are those of annotators."""
    folder, x = scannet / "scans" / SCENE, vertices()[1]
    (folder / f"{SCENE}_vh_clean_2.labels.ply").unlink()
    segments = np.where(x == WALL_X_M, 7, 2)
    segments[0] = 9
    groups = [{"label": "wall", "segments": [7, 8]}, {"label": "kitchen cabinet", "segments": [2]}]
    write_text(folder / f"{SCENE}.aggregation.json", json.dumps({"segGroups": groups}))
    with pytest.raises(DataError, match=r"scannetv2-labels.combined.tsv does not exist"):
        ScannetSource(scannet, images=0)[0]
    table = "id\traw_category\tnyu40id\n1\twall\t1\n28\tkitchen cabinet\t3\n"
    write_text(scannet / "scannetv2-labels.combined.tsv", table)
    segments_file = folder / f"{SCENE}_vh_clean_2.0.010000.segs.json"
    write_text(segments_file, json.dumps({"segIndices": segments.tolist()}))
    expected = np.where(x == WALL_X_M, 1, 3)
    expected[0] = 0
    np.testing.assert_array_equal(ScannetSource(scannet, images=0)[0].labels.class_id, expected)
    write_text(segments_file, "{}")
    with pytest.raises(DataError, match=r"segs.json or .*aggregation.json is of another format"):
        ScannetSource(scannet, images=0)[0]


def test_meshes_of_either_byte_order_are_read(scannet):
    (scannet / "scans" / SCENE / f"{SCENE}_vh_clean_2.ply").write_bytes(mesh(">"))
    scan = ScannetSource(scannet)[0].scan
    np.testing.assert_array_equal(scan.xyz, vertices()[0])
    assert scan.xyz.dtype == np.float32


def test_a_scene_becomes_a_bag_in_which_its_cameras_stand_where_they_stood(scannet):
    source = ScannetSource(scannet, images=2)
    write_bag(source, scannet / "bag")
    frame = open_source("rosbag", scannet / "bag", ego_motion="tf")[0]
    for name in ("image_0", "image_1"):
        expected = source[0].camera_from_lidar(name).matrix
        np.testing.assert_allclose(frame.camera_from_lidar(name).matrix, expected, atol=1e-6)


ASCII = b"ply\nformat ascii 1.0\nelement vertex 1\nproperty float x\nend_header\n0\n"
EIGHT_BITS = cv2.imencode(".png", np.ones((4, 4), np.uint8))[1].tobytes()
FACES = b"ply\nformat binary_little_endian 1.0\nelement face 1\nproperty list uchar int i\nend_header\n"
NO_COLOURS = ply({axis: ("float", np.zeros(3)) for axis in "xyz"})


@pytest.mark.parametrize(
    ("suffix", "content", "error"),
    [
        ("_vh_clean_2.ply", b"solid", "is no PLY file"),
        ("_vh_clean_2.ply", mesh()[:400], r"ends after \d+ of \d+ vertices: truncated"),
        ("_vh_clean_2.ply", ASCII, "no binary PLY file whose vertices come first: 'ascii'"),
        ("_vh_clean_2.ply", FACES, "whose vertices come first: its first element is 'face 1'"),
        ("_vh_clean_2.ply", NO_COLOURS, "has no property 'red' at its vertices; it has x, y, z"),
        (
            "_vh_clean_2.labels.ply",
            ply({"label": ("ushort", np.ones(3))}),
            r"has 3 labels but its mesh \d+ vertices",
        ),
        (".sens", sens(version=3), "is no .sens file of version 4: it starts with 3"),
        (".sens", sens(depths=2), "has colours of kind 2 and depths of kind 2, 1000 a metre; known are"),
        (".sens", sens(colours=0), "has colours of kind 0"),
        (".sens", sens(shift=0), "0 a metre"),
        (".sens", sens()[:-2000], "ends before its last frame: not wholly copied"),
        (".txt", b"axisAlignment = 1 0 0", "axisAlignment must have 16 numbers, got 3"),
    ],
)
def test_files_that_cannot_be_read_are_named(scannet, suffix, content, error):
    (scannet / "scans" / SCENE / f"{SCENE}{suffix}").write_bytes(content)
    with pytest.raises(DataError, match=error):
        ScannetSource(scannet)[0]


@pytest.mark.parametrize(
    ("file", "content", "error"),
    [
        ("color/0.jpg", b"\xff\xd8\xff\xe0", "0.jpg is no whole image"),
        (
            "depth/0.png",
            EIGHT_BITS,
            "one channel of 16 bits",
        ),
        ("depth/0.png", None, "0.png does not exist"),
        ("pose/0.txt", None, "0.txt does not exist"),
        ("pose/0.txt", b"1 0 0 0\n0 1 0 0\n", "has 2 lines of 4 numbers, expected 4"),
        ("intrinsic/intrinsic_color.txt", None, "has no intrinsic_color.txt"),
        (
            "intrinsic/intrinsic_color.txt",
            text_of(homogeneous(COLOUR_K * 4)).encode(),
            r"principal point \(322, 236\) is far from the centre of 160 x 120 pixels",
        ),
        ("intrinsic/intrinsic_depth.txt", b"0 0 0 0\n" * 4, "intrinsic_depth.txt: camera matrix must be 3x3"),
    ],
)
def test_exported_frames_that_are_damaged_or_missing_are_named(scannet, file, content, error):
    folder = scannet / "scans" / SCENE
    write_folder(folder)
    (folder / file).unlink() if content is None else (folder / file).write_bytes(content)
    with pytest.raises((DataError, CalibrationError), match=error):
        ScannetSource(scannet)[0]


def test_damaged_sens_files_are_an_error_or_a_frame(scannet):
    """Bytes changed anywhere, or missing: never another exception."""
    whole, path = sens(), scannet / "scans" / SCENE / f"{SCENE}.sens"
    rng = np.random.default_rng(0)
    for _ in range(25):
        data = np.frombuffer(whole, np.uint8).copy()
        at = rng.integers(len(data) if rng.random() < 0.3 else 500, size=4)
        data[at] = rng.integers(256, size=4)
        path.write_bytes(data.tobytes()[: rng.integers(len(data)) if rng.random() < 0.3 else None])
        try:
            assert len(ScannetSource(scannet, images=2)[0].images) <= 2
        except (DataError, CalibrationError) as error:
            assert "\n" not in str(error)


def test_what_is_not_there_is_named(scannet, tmp_path):
    with pytest.raises(DataError, match="not the root of ScanNet v2"):
        ScannetSource(tmp_path / "scans" / SCENE / "nothing")
    with pytest.raises(DataError, match="has no scene 'scene0001_00'; it has scene0000_00 to scene0000_00"):
        ScannetSource(scannet, scenes=["scene0001_00"])
    write_folder(scannet / "scans" / SCENE)
    for picture in (scannet / "scans" / SCENE / "color").iterdir():
        picture.unlink()
    with pytest.raises(DataError, match="color has no numbered pictures"):
        ScannetSource(scannet)[0]
    with pytest.raises(ConfigError, match="images and seed must not be negative, got -1 and None"):
        ScannetSource(scannet, images=-1)

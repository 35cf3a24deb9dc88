"""Pairs of real recordings against the official projections of their data sets, in double precision."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from clip2scene_core.clip.dense import sample_features
from clip2scene_core.data.kitti_raw import KittiRawSource
from clip2scene_core.data.nuscenes import NuscenesSource
from clip2scene_core.pairing import point_pixel_pairs


def test_pairs_of_nuscenes_are_those_of_the_devkit(real_recordings, monkeypatch):
    devkit = pytest.importorskip("nuscenes", reason="nuscenes-devkit is not installed")
    cloud = devkit.nuscenes.LidarPointCloud
    read = cloud.from_file
    # In float32, which it uses for coordinates of the whole city too, the devkit is off by 0.02 px.
    monkeypatch.setattr(cloud, "from_file", lambda path: cloud(read(path).points.astype(np.float64)))
    tables = devkit.NuScenes("v1.0-test", str(real_recordings / "nuscenes_keyframe"), verbose=False)
    data = tables.sample[0]["data"]
    frame = NuscenesSource(real_recordings / "nuscenes_keyframe")[0]
    assert len(frame.images) == 6
    for name, image in frame.images.items():
        theirs, depths_m, _ = tables.explorer.map_pointcloud_to_image(
            data["LIDAR_TOP"], data[name], min_dist=1.0
        )
        pairs = point_pixel_pairs(frame, name, min_depth_m=1.0, occlusion=False)
        # The devkit leaves out a margin of 1 px.
        height, width = image.rgb.shape[:2]
        inside = ((pairs.pixel > 1) & (pairs.pixel < [width - 1, height - 1])).all(axis=1)
        assert inside.sum() == theirs.shape[1] > 2000
        np.testing.assert_allclose(pairs.pixel[inside], theirs[:2].T, atol=2e-4)
        np.testing.assert_allclose(pairs.depth_m[inside], depths_m, atol=1e-4)
        assert_reads_places(pairs.pixel[inside], theirs[:2].T, (height, width))

        shown = point_pixel_pairs(frame, name).row
        assert set(shown) < set(pairs.row)
        assert len(shown) > 0.6 * len(pairs.row), "most of what a camera could see is not hidden"


@pytest.mark.parametrize("index", [0, 29])
def test_pairs_of_kitti_are_the_product_of_the_matrices_in_its_files(real_recordings, index):
    """pixel = P_rect_02 R_rect_00 [R T] xyz, as KITTI's own paper and development kit have it."""
    date = real_recordings / "kitti_raw" / "2011_09_26"
    lines = [
        line.split(":", 1)
        for name in ("calib_velo_to_cam.txt", "calib_cam_to_cam.txt")
        for line in (date / name).read_text().splitlines()
    ]
    text = dict(lines)
    number = lambda key, *shape: np.array(text[key].split(), float).reshape(shape)  # noqa: E731
    rotation = np.eye(4)
    rotation[:3, :3] = number("R_rect_00", 3, 3)
    velo_to_camera = np.vstack([np.hstack([number("R", 3, 3), number("T", 3, 1)]), [0, 0, 0, 1]])
    points = np.fromfile(date / f"sequence/velodyne_points/data/{index:010d}.bin", "<f4").reshape(-1, 4)
    homogeneous = np.column_stack([points[:, :3], np.ones(len(points))]).astype(np.float64)
    projected = homogeneous @ (number("P_rect_02", 3, 4) @ rotation @ velo_to_camera).T
    expected = projected[:, :2] / projected[:, 2:]
    inside = ((expected > -0.5) & (expected < [1241.5, 374.5])).all(axis=1)

    frame = KittiRawSource(real_recordings / "kitti_raw", ego_motion="none")[index]
    pairs = point_pixel_pairs(frame, "image_02", occlusion=False)
    rows = np.flatnonzero(inside & (projected[:, 2] > 1))
    assert len(rows) > 10_000
    np.testing.assert_array_equal(pairs.row, rows)
    np.testing.assert_allclose(pairs.pixel, expected[rows], atol=2e-4)
    assert_reads_places(pairs.pixel, expected[rows], (375, 1242))


def assert_reads_places(pixel, expected, image_size):
    """Features of patches that are the places of their centres are, at the pixels of points, these pixels.

    A ramp is read exactly between the centres of the outermost patches, beyond them these centres are.
    """
    h, w = (-(-side // 16) for side in image_size)
    centre = torch.stack(
        torch.meshgrid(torch.arange(w) * 16 + 7.5, torch.arange(h) * 16 + 7.5, indexing="xy")
    )
    read = sample_features(centre, torch.from_numpy(pixel), (h * 16, w * 16))
    np.testing.assert_allclose(read, np.clip(expected, 7.5, [w * 16 - 8.5, h * 16 - 8.5]), atol=1e-3)

"""Pictures of towns: the same for the same seed, whole files, a class for every pixel."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from clip2scene_core.errors import DataError
from clip2scene_core.labels import LabelSet
from clip2scene_core.simulation.views import random_views, read_views, write_views


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("views")
    write_views(folder, [3], views=3, size=(48, 28))
    return folder


def test_pictures_are_those_of_the_seed_and_differ_from_each_other(folder: Path):
    views = read_views(folder / "town_000003_views.npz")
    again = next(random_views(3, 1, size=(48, 28)))
    np.testing.assert_array_equal(views[0].rgb, again.rgb)
    np.testing.assert_array_equal(views[0].class_id, again.class_id)
    assert views[0].rgb.shape == (28, 48, 3) and views[0].class_id.shape == (28, 48)
    assert not any(np.array_equal(views[0].class_id, view.class_id) for view in views[1:])


def test_classes_are_of_the_town_and_the_sky_is_above(folder: Path):
    class_id = np.stack([view.class_id for view in read_views(folder / "town_000003_views.npz")])
    assert set(np.unique(class_id)) <= {0, *LabelSet.named("town").ids.tolist()}
    rows = np.nonzero(class_id == 0)[1]
    assert rows.size and rows.mean() < 14


def test_files_that_exist_are_left_and_damaged_ones_named(folder: Path):
    path = folder / "town_000004_views.npz"
    path.write_bytes(b"half a file")
    write_views(folder, [4], views=3)
    assert path.read_bytes() == b"half a file"
    with pytest.raises(DataError, match=r"town_000004_views.npz is no file of simulated views .*; delete it"):
        read_views(path)

"""Pseudo labels against examples worked out by hand, SciPy, and PyTorch's own interpolation."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import softmax
from scipy.stats import entropy
from torch.nn import functional as F

from clip2scene_core.cameras import Camera
from clip2scene_core.clip import pseudo_labels
from clip2scene_core.clip.dense import DensePatches
from clip2scene_core.clip.pseudo_labels import PointLabels, Refinement, label_pixels, label_points
from clip2scene_core.clip.text import TextEmbeddings
from clip2scene_core.errors import ConfigError
from clip2scene_core.geometry import SE3
from clip2scene_core.labels import LabelSet
from clip2scene_core.types import CameraImage

WARM = Refinement(temperature=0.5)
STREET = LabelSet.named("street")


def vocabulary(classes, phrases=None, dim=None):
    """Phrases are unit vectors along the axes; phrase p is of class p % classes."""
    phrases = phrases or classes
    return TextEmbeddings(
        embeddings=torch.eye(phrases, dim or phrases),
        phrase_class=torch.arange(phrases) % classes,
        num_classes=classes,
    )


def patches_of(features, *, patch_px=4, **fields):
    h, w = features.shape[2:]
    size = (h * patch_px, w * patch_px)
    return DensePatches(
        **{"features": features, "keys": None, "patch_px": patch_px, "image_size": size} | fields
    )


def random_patches(seed, *shape, **fields):
    return patches_of(torch.randn(shape, generator=torch.Generator().manual_seed(seed)), **fields)


@pytest.mark.parametrize("stripe", [1, 500, 1 << 22])
@pytest.mark.parametrize("size", [(20, 28), (17, 25)])
def test_pixels_are_bilinear_between_the_scores_of_patches(monkeypatch, stripe, size):
    """As PyTorch enlarges the map of 5 x 7 patches, of which the smaller image fills the upper left part."""
    monkeypatch.setattr(pseudo_labels, "STRIPE", stripe)
    patches = random_patches(0, 2, 6, 5, 7)
    labels = label_pixels(patches, vocabulary(3, 6), size, refinement=WARM)
    cosine = F.normalize(patches.features, dim=1)
    scores = torch.maximum(cosine[:, :3], cosine[:, 3:])
    enlarged = F.interpolate(scores, (20, 28), mode="bilinear", align_corners=False)[
        :, :, : size[0], : size[1]
    ]
    probability = softmax(enlarged.numpy() / 0.5, axis=1)
    ordered = np.sort(probability, axis=1)
    assert labels.class_index.shape == (2, *size)
    np.testing.assert_array_equal(labels.class_index, probability.argmax(axis=1))
    np.testing.assert_allclose(labels.probability, ordered[:, -1], atol=1e-5)
    np.testing.assert_allclose(labels.margin, ordered[:, -1] - ordered[:, -2], atol=1e-5)
    np.testing.assert_allclose(labels.certainty, 1 - entropy(probability, axis=1) / np.log(3), atol=1e-5)


def test_one_patch_by_hand():
    """Cosines 0.6 and 0.8 at temperature 0.2: odds of 1 to e, 0.269 and 0.731, an entropy of 0.5822."""
    labels = label_pixels(
        patches_of(torch.tensor([3.0, 4.0]).reshape(1, 2, 1, 1)),
        vocabulary(2),
        (1, 1),
        refinement=Refinement(temperature=0.2),
    )
    assert labels.class_index.item() == 1
    assert labels.probability.item() == pytest.approx(0.7311, abs=1e-4)
    assert labels.margin.item() == pytest.approx(0.4621, abs=1e-4)
    assert labels.certainty.item() == pytest.approx(1 - 0.5822 / 0.6931, abs=1e-4)


def test_features_in_half_precision_are_read_as_precisely():
    patches = random_patches(1, 1, 6, 5, 7)
    half = patches_of(patches.features.half())
    labels = label_pixels(half, vocabulary(6), (20, 28), refinement=WARM)
    expected = label_pixels(patches, vocabulary(6), (20, 28), refinement=WARM)
    assert labels.probability.dtype == torch.float32
    torch.testing.assert_close(labels.probability, expected.probability, rtol=0, atol=1e-3)


def test_a_single_class_is_certain():
    labels = label_pixels(random_patches(0, 1, 4, 2, 2), vocabulary(1, 4), (8, 8))
    for values in (labels.probability, labels.margin, labels.certainty):
        assert (values == 1).all()


def test_a_class_without_phrases_is_never_chosen():
    text = TextEmbeddings(embeddings=-torch.eye(2, 4), phrase_class=torch.tensor([0, 2]), num_classes=4)
    features = random_patches(0, 1, 4, 3, 3).features.abs()
    labels = label_pixels(patches_of(features), text, (12, 12))
    assert set(labels.class_index.unique().tolist()) <= {0, 2}
    assert labels.probability.isfinite().all()


def test_a_class_that_no_patch_is_sure_of_is_not_in_the_image():
    """Class 2 is second everywhere, and wins between patches of 0 and 1 unless it is left out."""
    features = torch.tensor([[1.0, 0, 0.9], [0, 1.0, 0.9]]).T[None, :, None]
    sharp, text = Refinement(temperature=0.02), vocabulary(3)
    with_all = label_pixels(patches_of(features), text, (4, 8), refinement=sharp)
    assert 2 in with_all.class_index
    denoised = label_pixels(
        patches_of(features), text, (4, 8), refinement=Refinement(temperature=0.02, denoising=0.9)
    )
    assert denoised.class_index[0].tolist() == [[0] * 4 + [1] * 4] * 4


def test_smoothing_follows_keys_and_wants_them():
    """The last patch is of class 1 by a little, but looks like the sure ones of class 0."""
    features = torch.tensor([[1.0, 1.0, 0.70], [0, 0, 0.72]])[None, :, None]
    smooth, text = Refinement(temperature=0.1, smoothing=0.9), vocabulary(2)
    like = torch.ones(1, 5, 1, 3)
    labels = label_pixels(patches_of(features, keys=like), text, (4, 12), refinement=smooth)
    assert (labels.class_index == 0).all()
    with pytest.raises(ConfigError, match="expected patches with keys, got none"):
        label_pixels(patches_of(features), text, (4, 12), refinement=smooth)


CAMERA = Camera(width=40, height=40, matrix=np.array([[20.0, 0, 19.5], [0, 20.0, 19.5], [0, 0, 1]]))


def image_frame(make_frame, xyz, **positions):
    """Cameras by name that look along z from a place; the LiDAR's frame is like theirs."""
    image = CameraImage(rgb=np.zeros((40, 40, 3), np.uint8), camera=CAMERA, stamp_ns=0, frame_id="camera")
    return make_frame(
        xyz,
        images=dict.fromkeys(positions, image),
        world_from_camera={
            name: SE3.from_rotation_translation(np.eye(3), place) for name, place in positions.items()
        },
    )


def uniform(*feature):
    """Patches of an image that is the same everywhere."""
    return patches_of(torch.tensor(feature).reshape(1, -1, 1, 1).expand(1, -1, 10, 10))


def test_views_are_fused_by_certainty_and_hidden_ones_do_not_count(make_frame):
    """Camera a says class 0 with 0.9, camera b says class 1 with 0.6; a board is before a only.

    The binary entropies are 0.469 and 0.971 bits, so certainties 0.531 and 0.029. Both see the free point:
    class 0 with (0.531 * 0.9 + 0.029 * 0.4) / 0.560 = 0.874. The point behind the board is seen by b.
    """
    x, y = (axis.ravel() for axis in np.meshgrid(np.linspace(-1, 1, 21), np.linspace(-1, 1, 21)))
    board = np.column_stack([x, y, np.full(x.size, 5.0)])
    free, hidden, behind = [4.0, 4.0, 9.0], [0.0, 0.0, 9.0], [0.0, 0.0, -9.0]
    frame = image_frame(make_frame, [free, hidden, behind, *board], a=[0, 0, 0], b=[4, 0, 0])
    logit = lambda p: float(np.log(p / (1 - p)))  # noqa: E731
    angle = lambda p: np.pi / 4 - np.arcsin(logit(p) / np.sqrt(2) / 2)  # noqa: E731
    says = lambda p: uniform(float(np.cos(angle(p))), float(np.sin(angle(p))))  # noqa: E731
    patches = {"a": says(0.9), "b": says(0.4)}
    labels = label_points(frame, patches, vocabulary(2), refinement=Refinement(temperature=0.5))

    assert labels.views[:3].tolist() == [2, 1, 0]
    assert labels.class_index[:3].tolist() == [0, 1, -1]
    np.testing.assert_allclose(labels.probability[:3], [0.874, 0.6, 0], atol=1e-3)
    np.testing.assert_allclose(labels.margin[:3], [2 * 0.874 - 1, 0.2, 0], atol=2e-3)
    np.testing.assert_allclose(labels.certainty[:3], [1 - 0.546, 0.029, 0], atol=2e-3)

    seen_over = label_points(
        frame, patches, vocabulary(2), refinement=Refinement(temperature=0.5), occlusion=False
    )
    assert seen_over.views[:3].tolist() == [2, 2, 0]
    assert seen_over.class_index[1] == 0


def test_a_point_has_the_label_of_its_pixel(make_frame):
    """Points along the rays of whole pixels, one view: what label_pixels says there."""
    column, row = (axis.ravel() for axis in np.meshgrid(np.arange(1, 40, 3), np.arange(2, 40, 3)))
    xyz = np.column_stack([(column - 19.5) / 20, (row - 19.5) / 20, np.ones(len(row))]) * 8
    frame = image_frame(make_frame, xyz, front=[0, 0, 0])
    patches, text = random_patches(3, 1, 6, 10, 10), vocabulary(6)
    pixels = label_pixels(patches, text, (40, 40), refinement=WARM)
    points = label_points(frame, {"front": patches}, text, refinement=WARM)
    for name in ("class_index", "probability", "margin", "certainty"):
        torch.testing.assert_close(
            getattr(points, name), getattr(pixels, name)[0, row, column], rtol=0, atol=1e-5
        )


@pytest.mark.parametrize("xyz", [np.zeros((0, 3)), np.full((3, 3), np.nan)])
def test_scans_without_points_have_labels_too(make_frame, xyz):
    frame = image_frame(make_frame, xyz, front=[0, 0, 0])
    for patches in (
        {},
        {"front": random_patches(0, 1, 4, 10, 10)},
        {"back": random_patches(0, 1, 4, 10, 10)},
    ):
        labels = label_points(frame, patches, vocabulary(4))
        assert labels.class_index.tolist() == [-1] * len(xyz)
        assert labels.certainty.tolist() == [0] * len(xyz)
        assert labels.semantic(STREET).class_id.tolist() == [STREET.ignore_id] * len(xyz)


def test_what_is_not_believed_is_ignored():
    labels = PointLabels(
        class_index=torch.tensor([0, 2, 2, -1]),
        probability=torch.tensor([0.9, 0.5, 0.4, 0]),
        margin=torch.tensor([0.8, 0.1, 0.3, 0]),
        certainty=torch.tensor([0.7, 0.2, 0.1, 0]),
        views=torch.tensor([1, 2, 1, 0]),
    )
    first, third, ignored = STREET.classes[0].id, STREET.classes[2].id, STREET.ignore_id
    assert labels.semantic(STREET).class_id.tolist() == [first, third, third, ignored]
    half = labels.semantic(STREET, at_least=0.5)
    assert half.class_id.tolist() == [first, third, ignored, ignored]
    assert half.class_id.dtype == np.uint16
    np.testing.assert_allclose(half.probability, [0.9, 0.5, 0.4, 0])
    clear = labels.semantic(STREET, confidence="margin", at_least=0.2)
    assert clear.class_id.tolist() == [first, ignored, third, ignored]

"""Dense features against open_clip's own ways to its features, and their reading at pixels."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import open_clip
import pytest
import torch
from open_clip.model import resize_pos_embed
from PIL import Image
from torch.nn import functional as F

from clip2scene_core.clip.attention import MODES
from clip2scene_core.clip.dense import DenseClip, sample_features
from clip2scene_core.clip.towers import Tower, resized, take_apart
from clip2scene_core.clip.weights import LoadedClip, load_clip
from clip2scene_core.errors import ConfigError, DataError

FULL = {"ViT-B-16": 512, "ViT-L-14": 768, "ViT-B-16-SigLIP": 768, "ViT-B-32-SigLIP2-256": 768}
"""Models at their full size, and what the width of their joint space is."""


def preprocessed(clip: LoadedClip, images: np.ndarray) -> torch.Tensor:
    """What torchvision makes of the images, with open_clip's transform for the model."""
    transform = open_clip.image_transform(32, is_train=False, mean=clip.mean, std=clip.std)
    return torch.stack([transform(Image.fromarray(image)) for image in images])


def plain_tokens(clip: LoadedClip, images: np.ndarray) -> tuple[Tower, torch.Tensor]:
    """The tower and all tokens (B, L, K) behind its last block."""
    tower = take_apart(clip.model.visual)
    tokens = tower.embed(preprocessed(clip, images))
    for block in tower.blocks:
        tokens = block(tokens)
    return tower, MODES["plain"](tower.last_block, tokens, (4, 4))


@pytest.mark.parametrize("model", ["Tiny", "Tiny-quickgelu", "Tiny-average"])
def test_plain_is_what_open_clip_has_before_it_pools(model, tiny_clip, images):
    clip = tiny_clip(model)
    seen = clip.model.visual.forward_intermediates(
        preprocessed(clip, images), indices=1, normalize_intermediates=True
    )
    expected = torch.einsum("bkhw,kd->bdhw", seen["image_intermediates"][0], clip.model.visual.proj)
    found = DenseClip(clip, mode="plain")(images).features
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


def test_the_average_of_plain_is_the_image_where_the_model_averages(tiny_clip, images):
    clip = tiny_clip("Tiny-average")
    found = DenseClip(clip, mode="plain")(images).features.mean(dim=(2, 3))
    torch.testing.assert_close(found, clip.model.encode_image(preprocessed(clip, images)), rtol=0, atol=1e-5)


@pytest.mark.parametrize("model", ["Tiny", "Tiny-quickgelu", "Tiny-timm"])
def test_the_class_token_of_plain_is_the_image(model, tiny_clip, images):
    clip = tiny_clip(model)
    tower, tokens = plain_tokens(clip, images)
    expected = clip.model.encode_image(preprocessed(clip, images))
    torch.testing.assert_close(tower.read_out(tokens)[:, 0], expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("model", ["Tiny-SigLIP", "Tiny-CoCa", "Tiny-CLIPA"])
def test_tokens_of_plain_pooled_as_the_model_pools_are_the_image(model, tiny_clip, images):
    clip = tiny_clip(model)
    _, tokens = plain_tokens(clip, images)
    expected = clip.model.encode_image(preprocessed(clip, images))
    torch.testing.assert_close(pooled(clip.model.visual, tokens), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("model", ["Tiny", "Tiny-SigLIP", "Tiny-timm", "Tiny-CoCa", "Tiny-CLIPA"])
def test_a_patch_is_read_out_as_an_image_of_that_token_alone(model, tiny_clip):
    visual = tiny_clip(model).model.visual
    tokens = torch.randn(2, 3, 32)
    alone = [token.repeat(1, 2, 1) if model == "Tiny-CLIPA" else token for token in tokens.split(1, dim=1)]
    expected = torch.stack([pooled(visual, token) for token in alone], dim=1)
    torch.testing.assert_close(take_apart(visual).read_out(tokens), expected)


def pooled(visual: torch.nn.Module, tokens: torch.Tensor) -> torch.Tensor:
    """The end of open_clip's own forward pass: tokens (B, L, K) to (B, D). CLIPA leaves out the first."""
    if hasattr(visual, "trunk"):
        return visual.head(visual.trunk.forward_head(visual.trunk.norm(tokens)))
    return visual._pool(tokens)[0] @ visual.proj


def test_maskclip_with_one_block_in_numpy(tiny_clip, images):
    """From pixels to features; of attention only values and the output projection are left."""
    clip = tiny_clip("Tiny-one-block")
    w = {name: tensor.double().numpy() for name, tensor in clip.model.visual.state_dict().items()}

    def norm(x: np.ndarray, name: str) -> np.ndarray:
        x = x - x.mean(axis=-1, keepdims=True)
        return (
            x / np.sqrt((x**2).mean(axis=-1, keepdims=True) + 1e-5) * w[f"{name}.weight"] + w[f"{name}.bias"]
        )

    def linear(x: np.ndarray, name: str) -> np.ndarray:
        return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]

    def gelu(x: np.ndarray) -> np.ndarray:
        return x / 2 * (1 + torch.erf(torch.from_numpy(x) / 2**0.5).numpy())

    block = "transformer.resblocks.0"
    rgb = (images / 255 - clip.mean) / clip.std
    pixels = rgb.reshape(2, 4, 8, 4, 8, 3).transpose(0, 1, 3, 5, 2, 4).reshape(2, 16, -1)
    x = norm(pixels @ w["conv1.weight"].reshape(32, -1).T + w["positional_embedding"][1:], "ln_pre")
    values = norm(x, f"{block}.ln_1") @ w[f"{block}.attn.in_proj_weight"][64:].T
    x = x + linear(values + w[f"{block}.attn.in_proj_bias"][64:], f"{block}.attn.out_proj")
    x = x + linear(gelu(linear(norm(x, f"{block}.ln_2"), f"{block}.mlp.c_fc")), f"{block}.mlp.c_proj")
    expected = norm(x, "ln_post") @ w["proj"]

    found = DenseClip(clip, mode="maskclip")(images).features
    np.testing.assert_allclose(found.flatten(2).mT, expected, rtol=1e-4, atol=1e-4)


@pytest.fixture(scope="module", params=FULL)
def full_clip(request) -> LoadedClip:
    """A model of open_clip as it is, but for its text encoder."""
    return load_clip(f"{request.param}-small-text", "random")


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_runs_on_models_of_full_size(mode, full_clip):
    dense = DenseClip(full_clip, mode=mode)
    height, width = 2 * dense.patch_px, 3 * dense.patch_px
    seen = dense(np.random.default_rng(0).integers(0, 256, (1, height, width, 3), np.uint8), keys=True)
    assert seen.features.shape == (1, dense.embedding_dim, 2, 3)
    assert dense.embedding_dim == FULL[full_clip.name.removesuffix("-small-text/random")]
    assert seen.features.isfinite().all()
    assert seen.features.flatten(2).std(dim=2).min() > 0, "patches differ"
    assert seen.keys.shape[2:] == (2, 3)


def test_keys_are_those_of_the_last_block(tiny_clip, images):
    clip = tiny_clip()
    last = clip.model.visual.transformer.resblocks[-1]
    normalised = []
    hook = last.ln_1.register_forward_hook(lambda module, taken, given: normalised.append(given))
    clip.model.encode_image(preprocessed(clip, images))
    hook.remove()
    expected = normalised[0][:, 1:] @ last.attn.in_proj_weight[32:64].T + last.attn.in_proj_bias[32:64]
    found = DenseClip(clip)(images, keys=True).keys
    torch.testing.assert_close(found.flatten(2).mT, expected)
    assert DenseClip(clip)(images).keys is None


def test_position_embeddings_of_another_grid_are_those_that_open_clip_would_load():
    position = torch.randn(17, 32)
    weights = {"visual.positional_embedding": position}
    resize_pos_embed(weights, SimpleNamespace(visual=SimpleNamespace(grid_size=(3, 7))))
    found = resized(position[1:], (4, 4), (3, 7)).flatten(2)[0].T
    torch.testing.assert_close(found, weights["visual.positional_embedding"][1:])


def test_position_embeddings_of_the_grid_of_training_are_untouched():
    position = torch.randn(16, 32)
    assert torch.equal(resized(position, (4, 4), (4, 4)).flatten(2)[0].T, position)


def test_an_image_of_broken_patches_is_continued_by_its_last_pixels(tiny_clip):
    dense = DenseClip(tiny_clip("Tiny-SigLIP"))
    image = np.random.default_rng(0).integers(0, 256, (1, 19, 45, 3), np.uint8)
    whole = np.pad(image, ((0, 0), (0, 5), (0, 3), (0, 0)), mode="edge")
    found = dense(image)
    assert found.image_size == (24, 48)
    assert torch.equal(found.features, dense(whole).features)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_looks_almost_the_same_way(dtype, images):
    single = DenseClip(load_clip("Tiny", "random"), mode="sclip")(images).features
    half = DenseClip(load_clip("Tiny", "random", dtype=dtype), mode="sclip")(images).features
    assert half.dtype == dtype
    assert F.cosine_similarity(single, half.float(), dim=1).min() > 0.999


def test_arrays_and_tensors_are_taken_whatever_their_memory(tiny_clip, images):
    dense = DenseClip(tiny_clip())
    expected = dense(torch.from_numpy(images)).features
    backwards = np.ascontiguousarray(images[..., ::-1])[..., ::-1]
    backwards.flags.writeable = False
    assert torch.equal(dense(backwards).features, expected)


@pytest.mark.parametrize(
    "images",
    [
        np.zeros((32, 32, 3), np.uint8),
        np.zeros((1, 3, 32, 32), np.uint8),
        np.zeros((1, 32, 32, 3), np.float32),
        torch.zeros((0, 32, 32, 3), dtype=torch.uint8),
    ],
)
def test_what_is_no_batch_of_images_is_refused(images, tiny_clip):
    with pytest.raises(DataError, match=r"^images expected \(B, H, W, 3\) uint8, got \("):
        DenseClip(tiny_clip())(images)


def test_a_teacher_does_not_learn(tiny_clip, images):
    dense = DenseClip(tiny_clip())
    with pytest.raises(RuntimeError, match="frozen"):
        torch.nn.Sequential(dense).train()
    assert not any(module.training for module in dense.modules())
    assert not any(parameter.requires_grad for parameter in dense.parameters())
    assert not dense(images).features.requires_grad


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"mode": "dense"}, "mode expected one of plain, maskclip, sclip, clearclip, naclip, got 'dense'"),
        ({"window_px": 30}, "window_px expected a multiple of the patch, 8, got 30"),
        ({"window_px": 0}, "window_px expected a multiple of the patch, 8, got 0"),
        ({"stride_px": 8}, "stride_px expected none without window_px, got 8"),
        (
            {"window_px": 32, "stride_px": 40},
            "stride_px expected a multiple of the patch, 8, up to 32, got 40",
        ),
        ({"window_px": 32, "stride_px": 0}, "stride_px expected a multiple of the patch, 8, up to 32, got 0"),
    ],
)
def test_impossible_settings_are_refused(settings, message, tiny_clip):
    with pytest.raises(ConfigError, match=f"^{message}$"):
        DenseClip(tiny_clip(), **settings)


@pytest.mark.parametrize(
    ("model", "got"),
    [
        ("RN50", "ModifiedResNet"),
        ("convnext_base", "ConvNeXt of timm"),
        ("EVA02-B-16", "Eva of timm"),
        ("MobileCLIP-B", "patches of HybridEmbed"),
    ],
)
def test_encoders_without_plain_patches_are_refused(model, got):
    with torch.device("meta"):
        visual = open_clip.create_model(model, load_weights=False, device="meta").visual
    with pytest.raises(ConfigError, match=f"^dense features need a vision transformer .*, got {got}$"):
        take_apart(visual)


def test_the_identity_tells_apart_what_gives_other_features(tiny_clip):
    settings = [
        {},
        {"mode": "sclip"},
        {"height_px": 24},
        {"window_px": 32},
        {"window_px": 32, "stride_px": 8},
    ]
    identities = [DenseClip(tiny_clip(), **each).identity for each in settings]
    identities.append(DenseClip(load_clip("Tiny", "random", dtype=torch.float16)).identity)
    identities.append(DenseClip(tiny_clip("Tiny-quickgelu")).identity)
    assert len({tuple(each.items()) for each in identities}) == len(identities)
    assert DenseClip(load_clip("Tiny", "random")).identity == identities[0], (
        "from one run to the next the same"
    )


def test_sampling_is_upsampling_without_the_map():
    """At every pixel centre, and beyond the image, where the border answers."""
    features = torch.randn(5, 3, 4)
    expected = F.interpolate(features[None], (24, 32), mode="bilinear", align_corners=False)[0]
    v, u = torch.meshgrid(torch.arange(24.0), torch.arange(32.0), indexing="ij")
    pixels = torch.stack([u.flatten(), v.flatten()], dim=1)
    torch.testing.assert_close(sample_features(features, pixels, (24, 32)), expected.flatten(1).T)
    outside = torch.tensor([[-50.0, -1.0], [40.0, 99.0]])
    torch.testing.assert_close(sample_features(features, outside, (24, 32)), features[:, [0, -1], [0, -1]].T)


def test_sampling_between_pixels_is_grid_sample():
    features = torch.randn(5, 3, 4)
    pixels = torch.rand(50, 2) * torch.tensor([31.0, 23.0])
    grid = (pixels + 0.5) / torch.tensor([32.0, 24.0]) * 2 - 1
    expected = F.grid_sample(
        features[None], grid[None, None], align_corners=False, padding_mode="border", mode="bilinear"
    )
    torch.testing.assert_close(sample_features(features, pixels, (24, 32)), expected[0, :, 0].T)


def test_sampling_three_pixels_by_hand():
    """Two patches of 2 x 2 pixels whose centres lie at u = 0.5 and 2.5; half-way between lies u = 1.5."""
    features = torch.tensor([[[10.0, 20.0]]])
    pixels = torch.tensor([[0.5, 0.0], [1.5, 1.0], [2.0, 0.5]])
    found = sample_features(features, pixels, (2, 4))
    torch.testing.assert_close(found, torch.tensor([[10.0], [15.0], [17.5]]))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_sampling_a_large_image_in_half_precision_stays_at_the_pixel(dtype):
    features = torch.arange(100.0).to(dtype).reshape(1, 1, 100)
    pixels = torch.tensor([[1599 - 7.5 - 16 * 40, 3.0]])
    assert sample_features(features, pixels, (16, 1600)).item() == 59


def test_sampling_nothing_gives_nothing():
    assert sample_features(torch.randn(5, 3, 4), torch.zeros(0, 2), (24, 32)).shape == (0, 5)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("window_px", [None, 32])
def test_a_gpu_never_waits_for_the_host(mode, window_px):
    image = torch.randint(0, 256, (1, 40, 64, 3), dtype=torch.uint8)
    expected = DenseClip(load_clip("Tiny", "random"), mode=mode, window_px=window_px)(image).features
    dense = DenseClip(load_clip("Tiny", "random", device="cuda"), mode=mode, window_px=window_px)
    image = image.cuda()
    dense(image)  # the first call of a kernel may wait
    torch.cuda.set_sync_debug_mode("error")
    try:
        found = dense(image)
        read = sample_features(found.features[0], torch.rand(9, 2, device="cuda"), found.image_size)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert read.isfinite().all()
    torch.testing.assert_close(found.features.cpu(), expected, rtol=1e-3, atol=1e-3)


def test_images_are_scaled_as_pillow_does_it_and_pixels_stay_those_of_the_original(tiny_clip):
    """60 x 83 pixels become 24 x 33, then whole patches: 24 x 40, which are 60 x 100.6 of the original's."""
    image = np.random.default_rng(0).integers(0, 256, (60, 83, 3), np.uint8)
    smaller = np.asarray(Image.fromarray(image).resize((33, 24), Image.Resampling.BILINEAR))
    found = DenseClip(tiny_clip(), height_px=24)(image[None])
    expected = DenseClip(tiny_clip())(smaller[None])
    assert found.image_size == pytest.approx((60, 83 * 40 / 33))
    cosine = F.cosine_similarity(found.features, expected.features)  # Pillow rounds to whole numbers
    assert cosine.min() > 0.99
    same = DenseClip(tiny_clip(), height_px=60)(image[None])
    torch.testing.assert_close(same.features, DenseClip(tiny_clip())(image[None]).features)

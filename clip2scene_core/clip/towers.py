"""Image encoders of open_clip taken apart, so that the last block can be another and every patch be read out.

Shapes: B images, H x W pixels, h x w patches, L tokens, K width, D joint embedding.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from clip2scene_core.clip.attention import Block
from clip2scene_core.errors import ConfigError


class Tower(Protocol):
    """A vision transformer in three steps: `embed`, `blocks` and `last_block`, `read_out`."""

    patch_px: int
    """Side of a patch in pixels."""
    prefix_tokens: int
    """How many tokens, of the class or registers, come before those of the patches."""
    embedding_dim: int
    blocks: Sequence[Callable[[Tensor], Tensor]]
    """All but the last."""
    last_block: Block

    def embed(self, images: Tensor) -> Tensor:
        """(B, L, K) tokens of normalised images (B, 3, H, W), whose sides are whole patches."""

    def read_out(self, tokens: Tensor) -> Tensor:
        """(B, L, D) in the joint space: what the image would be if it were the one token alone."""


def take_apart(visual: object) -> Tower:
    """The tower of `open_clip.create_model(...).visual`.

    Raises ConfigError for an image encoder that is no plain vision transformer: there is no patch to read.
    """
    from open_clip.timm_model import TimmModel
    from open_clip.transformer import VisionTransformer

    if isinstance(visual, VisionTransformer):
        return OpenClipTower(visual)
    if isinstance(visual, TimmModel):
        return TimmTower(visual)
    raise _refused(type(visual).__name__)


class OpenClipTower:
    """A VisionTransformer of open_clip: OpenAI, LAION, DataComp, MetaCLIP, DFN, CLIPA, CoCa.

    CLIPA normalises after it averaged the patches: a patch is read out in the place of their average.
    """

    def __init__(self, visual: Any) -> None:
        from open_clip.transformer import ResidualAttentionBlock

        blocks = list(visual.transformer.resblocks)
        last = blocks.pop()
        if not isinstance(last, ResidualAttentionBlock):
            raise _refused(f"blocks of {type(last).__name__}")
        if visual.attn_pool is not None and visual.attn_pool_contrastive is not None:
            raise _refused("two attentional poolings")
        self.patch_px = _square(visual.patch_size)
        self.prefix_tokens = 1
        self.embedding_dim = visual.output_dim
        self.blocks: Sequence[Callable[[Tensor], Tensor]] = blocks
        self.last_block = Block(
            heads=last.attn.num_heads,
            norm=last.ln_1,
            qkv_weight=last.attn.in_proj_weight,
            qkv_bias=last.attn.in_proj_bias,
            merge=lambda z: last.ls_1(last.attn.out_proj(z)),
            feed_forward=lambda x: last.ls_2(last.mlp(last.ln_2(x))),
        )
        self._visual = visual

    def embed(self, images: Tensor) -> Tensor:
        """See `Tower`."""
        visual = self._visual
        patches = visual.conv1(images)
        position = visual.positional_embedding
        class_token = (visual.class_embedding + position[0]).expand(len(images), 1, -1)
        placed = patches + resized(position[1:], visual.grid_size, patches.shape[2:])
        return visual.ln_pre(torch.cat([class_token, placed.flatten(2).mT], dim=1))

    def read_out(self, tokens: Tensor) -> Tensor:
        """See `Tower`."""
        visual = self._visual
        if visual.attn_pool is not None:
            tokens = _attended_alone(visual.attn_pool, tokens)
        return visual.ln_post(tokens) @ visual.proj


class TimmTower:
    """A VisionTransformer of timm: SigLIP and SigLIP 2, which pool by attention, and those that average."""

    def __init__(self, visual: Any) -> None:
        from timm.layers import Attention, AttentionPoolLatent, PatchEmbed
        from timm.models.vision_transformer import Block as TimmBlock
        from timm.models.vision_transformer import VisionTransformer

        trunk: Any = visual.trunk
        if type(trunk) is not VisionTransformer or type(trunk.patch_embed) is not PatchEmbed:
            raise _refused(f"{type(trunk).__name__} of timm")
        blocks = list(trunk.blocks)
        last = blocks.pop()
        if type(last) is not TimmBlock or type(last.attn) is not Attention or _has_extras(last.attn):
            raise _refused(f"blocks of {type(last).__name__} with {type(last.attn).__name__}")
        if trunk.pos_embed is None or not isinstance(trunk.patch_embed.norm, nn.Identity):
            raise _refused("another embedding of patches")
        if not isinstance(trunk.attn_pool, AttentionPoolLatent | None):
            raise _refused(f"pooling by {type(trunk.attn_pool).__name__}")
        self.patch_px = _square(trunk.patch_embed.patch_size)
        self.prefix_tokens = trunk.num_prefix_tokens
        self.blocks: Sequence[Callable[[Tensor], Tensor]] = blocks
        self.last_block = Block(
            heads=last.attn.num_heads,
            norm=last.norm1,
            qkv_weight=last.attn.qkv.weight,
            qkv_bias=last.attn.qkv.bias,
            merge=lambda z: last.ls1(last.attn.proj(z)),
            feed_forward=lambda x: last.ls2(last.mlp(last.norm2(x))),
        )
        self._trunk = trunk
        self._head = visual.head
        self.embedding_dim = self.read_out(trunk.pos_embed[:, :1]).shape[2]

    def embed(self, images: Tensor) -> Tensor:
        """See `Tower`."""
        trunk = self._trunk
        patches = trunk.patch_embed.proj(images)
        position = trunk.pos_embed[0]
        placed_prefix = 0 if trunk.no_embed_class else self.prefix_tokens
        placed = patches + resized(position[placed_prefix:], trunk.patch_embed.grid_size, patches.shape[2:])
        prefix = [token for token in (trunk.cls_token, trunk.reg_token) if token is not None]
        if placed_prefix:
            prefix = [torch.cat(prefix, dim=1) + position[:placed_prefix]]
        prefix = [token.expand(len(images), -1, -1) for token in prefix]
        return trunk.norm_pre(torch.cat([*prefix, placed.flatten(2).mT], dim=1))

    def read_out(self, tokens: Tensor) -> Tensor:
        """See `Tower`."""
        trunk, pool = self._trunk, self._trunk.attn_pool
        tokens = trunk.norm(tokens)
        if pool is not None:
            tokens = pool.proj(
                F.linear(tokens, *(each.chunk(2)[1] for each in (pool.kv.weight, pool.kv.bias)))
            )
            tokens = tokens + pool.mlp(pool.norm(tokens))
        return self._head(trunk.head(trunk.fc_norm(tokens)))


def resized(position: Tensor, grid: tuple[int, int], size: Sequence[int]) -> Tensor:
    """(1, K, *size) position embedding of a grid of patches, from that (h w, K) of the grid of training."""
    maps = position.T.unflatten(1, grid)[None]
    if tuple(size) == tuple(grid):
        return maps
    return F.interpolate(maps.float(), tuple(size), mode="bicubic", antialias=True).to(maps.dtype)


def _attended_alone(pooler: Any, tokens: Tensor) -> Tensor:
    """What open_clip's AttentionalPooler, of CoCa, makes of each token where there is no other."""
    attention = pooler.attn
    weight = (
        attention.in_proj_weight.chunk(3)[2] if attention.v_proj_weight is None else attention.v_proj_weight
    )
    return attention.out_proj(F.linear(pooler.ln_k(tokens), weight, attention.in_proj_bias.chunk(3)[2]))


def _has_extras(attention: Any) -> bool:
    """Whether timm's attention does more than what `Block` knows."""
    return attention.gate is not None or not all(
        isinstance(each, nn.Identity) for each in (attention.q_norm, attention.k_norm, attention.norm)
    )


def _square(patch: tuple[int, int]) -> int:
    if patch[0] != patch[1]:
        raise _refused(f"patches of {patch[0]} x {patch[1]} pixels")
    return patch[0]


def _refused(got: str) -> ConfigError:
    return ConfigError(
        f"dense features need a vision transformer as in ViT-B-16 or ViT-B-16-SigLIP, got {got}"
    )

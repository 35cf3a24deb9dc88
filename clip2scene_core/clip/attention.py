"""What the last block of a vision transformer may do for patches to keep to their place: a function a paper.

CLIP is trained on its class token alone, which in the last block gathers from everywhere; patches do the same
and lose where they are. Each function answers for all tokens, that of the class first, as the block would.

Shapes: B images, L tokens, h x w patches, K width, A heads, d = K / A.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

DenseMode = Literal["plain", "maskclip", "sclip", "clearclip", "naclip"]

NEIGHBOURHOOD_PATCHES = 5.0
"""Standard deviation of NACLIP's Gaussian, as its authors chose it."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Block:
    """A pre-norm transformer block x + attention(norm(x)), then x + mlp(norm(x)), in its parts."""

    heads: int
    norm: Callable[[Tensor], Tensor]
    qkv_weight: Tensor
    """(3K, K) floating: rows of queries, keys and values."""
    qkv_bias: Tensor | None
    """(3K,) floating, of one dimension."""
    merge: Callable[[Tensor], Tensor]
    """From the heads' answers (B, L, K) to what is added to x."""
    feed_forward: Callable[[Tensor], Tensor]
    """What the second half adds to x."""

    def q(self, y: Tensor) -> Tensor:
        """(B, A, L, d) queries of normalised tokens (B, L, K)."""
        return self._project(y, 0)

    def k(self, y: Tensor) -> Tensor:
        """(B, A, L, d) keys."""
        return self._project(y, 1)

    def v(self, y: Tensor) -> Tensor:
        """(B, A, L, d) values."""
        return self._project(y, 2)

    def out(self, z: Tensor) -> Tensor:
        """(B, L, K) from the heads' answers (B, A, L, d)."""
        return self.merge(z.transpose(1, 2).flatten(2))

    def mlp(self, x: Tensor) -> Tensor:
        """The second half of the block."""
        return x + self.feed_forward(x)

    def _project(self, y: Tensor, part: int) -> Tensor:
        bias = None if self.qkv_bias is None else self.qkv_bias.chunk(3)[part]
        return (
            F.linear(y, self.qkv_weight.chunk(3)[part], bias).unflatten(2, (self.heads, -1)).transpose(1, 2)
        )


def plain(block: Block, x: Tensor, grid: tuple[int, int]) -> Tensor:
    """The block as it was trained: softmax(q k' / sqrt d) v."""
    y = block.norm(x)
    return block.mlp(x + block.out(attend(block.q(y), block.k(y), block.v(y))))


def maskclip(block: Block, x: Tensor, grid: tuple[int, int]) -> Tensor:
    """Every token attends to itself alone: v. MaskCLIP, Zhou et al., ECCV 2022, as its code has it."""
    return block.mlp(x + block.out(block.v(block.norm(x))))


def sclip(block: Block, x: Tensor, grid: tuple[int, int]) -> Tensor:
    """(softmax(q q' / sqrt d) + softmax(k k' / sqrt d)) v. SCLIP, Wang et al., ECCV 2024."""
    y = block.norm(x)
    q, k, v = block.q(y), block.k(y), block.v(y)
    return block.mlp(x + block.out(attend(q, q, v) + attend(k, k, v)))


def clearclip(block: Block, x: Tensor, grid: tuple[int, int]) -> Tensor:
    """softmax(q q' / sqrt d) v, neither residual nor MLP. ClearCLIP, Lan et al., ECCV 2024."""
    y = block.norm(x)
    q = block.q(y)
    return block.out(attend(q, q, block.v(y)))


def naclip(block: Block, x: Tensor, grid: tuple[int, int]) -> Tensor:
    """softmax(k k' / sqrt d + w) v, w a Gaussian of the distance between patches, neither residual nor MLP.

    NACLIP, Hajimiri et al., WACV 2025. From and to the tokens before the patches w is 0.
    """
    y = block.norm(x)
    k = block.k(y)
    before = x.shape[1] - grid[0] * grid[1]
    w = F.pad(neighbourhood(grid, device=x.device), (before, 0, before, 0)).to(x.dtype)
    return block.out(attend(k, k, block.v(y), w))


MODES: dict[DenseMode, Callable[[Block, Tensor, tuple[int, int]], Tensor]] = {
    "plain": plain,
    "maskclip": maskclip,
    "sclip": sclip,
    "clearclip": clearclip,
    "naclip": naclip,
}


def attend(q: Tensor, k: Tensor, v: Tensor, w: Tensor | None = None) -> Tensor:
    """(B, A, L, d): softmax(q k' / sqrt d + w) v."""
    return F.scaled_dot_product_attention(q, k, v, attn_mask=w)


def neighbourhood(grid: tuple[int, int], *, device: torch.device) -> Tensor:
    """(h w, h w) float32: exp(-r^2 / 2 s^2) of the distance r in patches."""
    rows, columns = (torch.arange(n, device=device, dtype=torch.float32) for n in grid)
    vertical, horizontal = (
        torch.exp(-((x[:, None] - x) ** 2) / (2 * NEIGHBOURHOOD_PATCHES**2)) for x in (rows, columns)
    )
    return torch.kron(vertical, horizontal)

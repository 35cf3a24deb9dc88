"""Many rows to one: the mean and the largest of the rows that belong together.

Shapes: R rows, G groups, C channels. Gradients are those of PyTorch's own scatter functions, on any device.
"""

from __future__ import annotations

import torch
from torch import Tensor


def group_mean(features: Tensor, group: Tensor, groups: int) -> Tensor:
    """(G, C) mean of the features (R, C) of each group; `group` (R,) int64; zeros for an empty one.

    16-bit features are summed in float32.
    """
    dtype = torch.promote_types(features.dtype, torch.float32)
    total = features.new_zeros(groups, features.shape[1], dtype=dtype)
    total = total.index_add(0, group, features.to(dtype))
    count = torch.bincount(group, minlength=groups).clamp_min(1)
    return (total / count[:, None]).to(features.dtype)


def group_max(features: Tensor, group: Tensor, groups: int) -> Tensor:
    """(G, C) largest of the features (R, C) of each group, channel by channel; zeros for an empty one.

    Rows that tie share the gradient.
    """
    out = features.new_zeros(groups, features.shape[1])
    return out.scatter_reduce(0, group[:, None].expand_as(features), features, "amax", include_self=False)

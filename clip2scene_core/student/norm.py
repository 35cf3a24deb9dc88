"""Normalisation of features: running statistics of training or of a recording, or those of the scan at hand.

Shapes: R rows (voxels or points) of a batch of scans, C channels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from clip2scene_core.errors import ConfigError, DataError
from clip2scene_core.sparse import ScanRows


class BatchNorm(nn.BatchNorm1d):
    """Batch normalisation over all rows of the batch, with running statistics for inference.

    At inference the statistics may be mixed with those of the scan at hand, `scan_share` of them (0..1):
    another sensor or place shifts them, and the scan itself tells by how much.
    """

    scan_share: float = 0.0

    def forward(self, features: Tensor, rows: ScanRows) -> Tensor:  # type: ignore[override]  # of several scans
        if self.training and len(features) < 2:  # one row has no statistics
            return F.batch_norm(
                features, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps
            )
        if self.training or not self.scan_share:
            return super().forward(features)
        return map_scans(features, rows, self._with_scan_statistics)

    def _with_scan_statistics(self, features: Tensor) -> Tensor:
        assert self.running_mean is not None and self.running_var is not None
        features = features.to(self.running_mean.dtype)
        mean = features.mean(dim=0)
        variance = (features - mean).square_().mean(dim=0)  # torch.var_mean takes ten times as long
        mean = self.running_mean.lerp(mean, self.scan_share)
        variance = self.running_var.lerp(variance, self.scan_share)
        return F.batch_norm(features, mean, variance, self.weight, self.bias, eps=self.eps)


class ScanNorm(nn.Module):
    """Each channel normalised over the rows of each scan; no running statistics, training is inference.

    Small batches teach batch norm running statistics that fit no single scan; this norm cannot have that.
    """

    def __init__(self, channels: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, features: Tensor, rows: ScanRows) -> Tensor:
        return map_scans(features, rows, self._normalise)

    def _normalise(self, features: Tensor) -> Tensor:
        # torch.batch_norm, unlike F.batch_norm, accepts a scan of one row
        return torch.batch_norm(features, self.weight, self.bias, None, None, True, 0.0, self.eps, False)


NORMS: dict[str, type[nn.Module]] = {"batch": BatchNorm, "scan": ScanNorm}
"""Normalisation layers by name; each maps the features (R, C) of ScanRows to normalised ones."""


def make_norm(name: str, channels: int) -> nn.Module:
    """The normalisation layer of that name. Raises ConfigError if unknown."""
    if name not in NORMS:
        raise ConfigError(f"unknown norm {name!r}; expected one of {', '.join(sorted(NORMS))}")
    return NORMS[name](channels)


def use_scan_statistics(module: nn.Module, share: float) -> None:
    """Sets `scan_share` of every batch norm inside `module`; raises ConfigError outside 0..1."""
    if not 0.0 <= share <= 1.0:
        raise ConfigError(f"scan_statistics must lie in 0..1, got {share}")
    for part in module.modules():
        if isinstance(part, BatchNorm):
            part.scan_share = share


class PooledStatistics:
    """Mean and variance of the rows of any number of batches as if they were one, in float64."""

    def __init__(self) -> None:
        self.rows = 0
        self.mean = torch.zeros(())
        self._squares = torch.zeros(())

    def add(self, features: Tensor) -> None:
        """Another batch (R, C)."""
        rows = features.detach().double()
        if not len(rows):
            return
        mean = rows.mean(dim=0)
        squares = (rows - mean).square_().sum(dim=0)
        if self.rows:
            total, apart = self.rows + len(rows), mean - self.mean
            squares = self._squares + squares + apart.square() * (self.rows * len(rows) / total)
            mean = self.mean + apart * (len(rows) / total)
        self.rows, self.mean, self._squares = self.rows + len(rows), mean, squares

    @property
    def variance(self) -> Tensor:
        """(C,) unbiased, as PyTorch keeps running ones."""
        return self._squares / max(self.rows - 1, 1)


@contextmanager
def recalibration(module: nn.Module, share: float) -> Iterator[None]:
    """From the scans that `module`, in evaluation mode, is given inside come new running statistics.

    What comes to each batch norm is pooled over all scans; every row counts alike. At the end `share` (0..1)
    of the running statistics are the pooled ones, the rest is as it was. Until then each scan has that share
    of its own statistics, so that a layer is told of what it will see when the layers before it are done too.
    An exception leaves all as it was. Raises ConfigError where there are no running statistics, DataError
    where no scan was given.
    """
    if not 0.0 <= share <= 1.0:
        raise ConfigError(f"the share of the recording must lie in 0..1, got {share}")
    pools = {part: PooledStatistics() for part in module.modules() if isinstance(part, BatchNorm)}
    if not pools:
        raise ConfigError("the network has no running statistics to adapt: it has no batch norm")
    shares = {norm: norm.scan_share for norm in pools}
    hooks = [norm.register_forward_pre_hook(lambda norm, given: pools[norm].add(given[0])) for norm in pools]
    use_scan_statistics(module, share)
    try:
        with torch.no_grad():
            yield
    finally:
        for hook in hooks:
            hook.remove()
        for norm, before in shares.items():
            norm.scan_share = before
    if not all(pool.rows for pool in pools.values()):
        raise DataError("no scan has a point to take statistics of")
    for norm, pool in pools.items():
        assert norm.running_mean is not None and norm.running_var is not None
        norm.running_mean.lerp_(pool.mean.to(norm.running_mean), share)
        norm.running_var.lerp_(pool.variance.to(norm.running_var), share)


def map_scans(features: Tensor, rows: ScanRows, function: Callable[[Tensor], Tensor]) -> Tensor:
    """Applies `function` to the (R_b, C) features of each scan of the batch; rows stay where they are."""
    order, sizes = rows.scan_order, rows.scan_sizes
    if not sizes:
        return features
    if len(sizes) == 1:
        return function(features)
    grouped = features if order is None else features[order]
    mapped = torch.cat([function(scan) for scan in grouped.split(sizes)])
    return mapped if order is None else mapped[order.argsort()]

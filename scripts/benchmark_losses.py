#!/usr/bin/env python3
"""Times the losses of the pre-training, forward and backward, beside a straightforward implementation.

    python scripts/benchmark_losses.py [--pairs 40000] [--dim 512] [--device cpu] [--repeats 5] [--json FILE]

That one does as the released code of CLIP2Scene: it numbers the pairs of each cell in a loop on the host,
copies them into 8 slots a cell, zeros where there are fewer, and drops those beyond; it goes through the
classes in a loop as well. It has the half of equation (3) that was left out there, so that both compute the
same where no cell has more than 8 pairs, which is checked first.

Peak memory is what is needed beyond the inputs: allocated on a GPU, resident on a CPU.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import torch
from torch import Tensor
from torch.nn.functional import normalize

from clip2scene_core.losses import fused_cell_features, semantic_consistency, spatial_temporal_consistency

SLOTS = 8
LARGEST_CELL = 12
TAU = 0.5
LIBC = ctypes.CDLL(None)
M_MMAP_THRESHOLD = -3
"""Of glibc's mallopt: the size from which on memory goes back to the kernel as soon as it is freed."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Batch:
    """Pairs whose label is that of their cell, as the implementation with slots supposes."""

    pixels: Tensor
    """(M, D) float32."""
    semantic: Tensor
    """(M, D) float32, of the points, learnt."""
    temporal: Tensor
    """(M, D) float32, of the points, learnt."""
    text: Tensor
    """(C, D) float32."""
    label: Tensor
    """(M,) int64."""
    cell: Tensor
    """(M,) int64."""
    cells: int

    @classmethod
    def random(cls, pairs: int, dim: int, classes: int, *, largest_cell: int, device: str) -> Batch:
        """In most cells one to four pairs, 3.3 on average, in some as many as `largest_cell`."""
        generator = torch.Generator().manual_seed(0)
        counts = torch.empty(pairs).geometric_(0.29, generator=generator).clamp_max(largest_cell).long()
        cell = torch.repeat_interleave(torch.arange(pairs), counts)[:pairs]
        label = torch.randint(0, classes, (pairs,), generator=generator)[cell]
        order = torch.randperm(pairs, generator=generator)

        def unit(rows: int) -> Tensor:
            return normalize(torch.randn(rows, dim, generator=generator), dim=1).to(device)

        return cls(
            pixels=unit(pairs),
            semantic=unit(pairs).requires_grad_(),
            temporal=unit(pairs).requires_grad_(),
            text=unit(classes),
            label=label[order].to(device),
            cell=cell[order].to(device),
            cells=int(cell[-1]) + 1,
        )


def semantic(batch: Batch) -> Tensor:
    classes = len(batch.text)
    own = torch.arange(classes, device=batch.text.device)
    return semantic_consistency(batch.semantic, batch.text, batch.label, own, classes, tau=TAU)


def spatial_temporal(batch: Batch) -> Tensor:
    fused = fused_cell_features(
        batch.pixels, batch.temporal, batch.text, batch.label, batch.cell, batch.cells
    )
    return spatial_temporal_consistency(fused, batch.cell)


def semantic_by_loop(batch: Batch) -> Tensor:
    """Equation (1) class by class."""
    scores = batch.semantic @ batch.text.T / TAU
    loss = scores.new_zeros(())
    for c in batch.label.unique().tolist():
        own = batch.label == c
        numerator = scores[own, c].exp().sum()
        denominator = scores[~own, c].exp().sum() * own.sum()
        loss = loss - (numerator / denominator).log()
    return loss


def spatial_temporal_in_slots(batch: Batch) -> Tensor:
    """Equations (2) to (4) on cells of 8 slots."""
    order = batch.cell.argsort(stable=True)
    cell = batch.cell[order]
    counts = torch.bincount(cell, minlength=batch.cells).tolist()
    slot = torch.tensor([i for count in counts for i in range(count)], device=cell.device)
    kept = slot < SLOTS
    row, order = cell[kept] * SLOTS + slot[kept], order[kept]
    values = torch.cat([batch.pixels, batch.temporal], dim=1)[order]
    slots = values.new_zeros(batch.cells * SLOTS, values.shape[1])
    slots[row] = values
    filled = torch.zeros(batch.cells * SLOTS, dtype=torch.bool, device=cell.device)
    filled[row] = True
    filled = filled.view(batch.cells, SLOTS)
    pixels, points = slots.view(batch.cells, SLOTS, -1).chunk(2, dim=2)
    label = batch.label.new_zeros(batch.cells).index_copy(0, batch.cell, batch.label)
    text = batch.text[label][:, None]
    scores = torch.cat([(pixels * text).sum(dim=2), (points * text).sum(dim=2)], dim=1)
    scores = scores.masked_fill(~filled.repeat(1, 2), -torch.inf)
    pixel_weight, point_weight = scores.softmax(dim=1)[:, :, None].chunk(2, dim=1)
    fused = (pixel_weight * pixels + point_weight * points).sum(dim=1, keepdim=True)
    apart = 1 - torch.sigmoid((fused * points).sum(dim=2))
    return apart[filled].mean()


Loss = Callable[[Batch], Tensor]
LOSSES: dict[str, tuple[Loss, Loss]] = {
    "(1)": (semantic, semantic_by_loop),
    "(2)-(4)": (spatial_temporal, spatial_temporal_in_slots),
    "all": (
        lambda batch: semantic(batch) + spatial_temporal(batch),
        lambda batch: semantic_by_loop(batch) + spatial_temporal_in_slots(batch),
    ),
}


def step(loss: Loss, batch: Batch) -> tuple[Tensor | None, ...]:
    """The loss and its gradients, done when this returns."""
    value = loss(batch)
    gradients = torch.autograd.grad(value, [batch.semantic, batch.temporal], allow_unused=True)
    if value.is_cuda:
        torch.cuda.synchronize()
    return value.detach(), *gradients


def check(device: str) -> None:
    """Both sides agree where no pair is dropped."""
    batch = Batch.random(600, 32, 5, largest_cell=SLOTS, device=device)
    for ours, theirs in LOSSES.values():
        for here, there in zip(step(ours, batch), step(theirs, batch), strict=True):
            torch.testing.assert_close(here, there, rtol=1e-4, atol=1e-6)


def seconds(losses: tuple[Loss, Loss], batch: Batch, repeats: int) -> tuple[float, float]:
    """Medians of both, measured in turns; the first ones warm up."""
    times: tuple[list[float], list[float]] = ([], [])
    for turn in range(repeats + 1):
        for loss, measured in zip(losses, times, strict=True):
            start = time.perf_counter()
            step(loss, batch)
            if turn:
                measured.append(time.perf_counter() - start)
    return median(times[0]), median(times[1])


def peak_mib(loss: Loss, batch: Batch) -> float:
    """The most memory that a step takes beyond what is there before."""
    if batch.text.is_cuda:
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        step(loss, batch)
        return (torch.cuda.max_memory_allocated() - before) / 2**20
    LIBC.malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")  # sets the peak to what is resident now
    before = resident_kib("VmRSS")
    step(loss, batch)
    return (resident_kib("VmHWM") - before) / 2**10


def resident_kib(entry: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(entry))


def measured(batch: Batch, repeats: int) -> dict[str, dict[str, float]]:
    """Times and peaks of both sides, by equations."""
    figures = {}
    for name, losses in LOSSES.items():
        here_s, slots_s = seconds(losses, batch, repeats)
        figures[name] = {"here_s": here_s, "slots_s": slots_s}
    LIBC.mallopt(M_MMAP_THRESHOLD, 2**16)  # after the times, which this makes longer
    for name, (here, slots) in LOSSES.items():
        figures[name] |= {"here_mib": peak_mib(here, batch), "slots_mib": peak_mib(slots, batch)}
    return figures


def table_of(figures: dict[str, dict[str, float]]) -> str:
    rows = [
        "| equations | ms here | ms slots | ratio | MiB here | MiB slots | ratio |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, f in figures.items():
        faster, smaller = f["slots_s"] / f["here_s"], f["slots_mib"] / f["here_mib"]
        rows.append(
            f"| {name} | {1e3 * f['here_s']:.1f} | {1e3 * f['slots_s']:.1f} | {faster:.1f} "
            f"| {f['here_mib']:.0f} | {f['slots_mib']:.0f} | {smaller:.1f} |"
        )
    return "\n".join(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--pairs", type=int, default=40_000)
    parser.add_argument("--dim", type=int, default=512, help="dimensions of the embedding")
    parser.add_argument("--classes", type=int, default=16)
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--repeats", type=int, default=5, help="times that each is measured")
    parser.add_argument("--json", type=Path, help="file for the figures")
    arguments = parser.parse_args()
    pairs, dim, classes, device = arguments.pairs, arguments.dim, arguments.classes, arguments.device
    check(device)
    batch = Batch.random(pairs, dim, classes, largest_cell=LARGEST_CELL, device=device)
    counts = torch.bincount(batch.cell)
    print(
        f"{pairs:,} pairs of {dim} dimensions in {batch.cells:,} cells of up to {counts.max()}, "
        f"{classes} classes, {device}, {torch.get_num_threads()} threads; "
        f"slots drop {int((counts - SLOTS).clamp_min(0).sum()):,} pairs\n"
    )
    figures = measured(batch, arguments.repeats)
    print(table_of(figures))
    if arguments.json:
        settings = {name: value for name, value in vars(arguments).items() if name != "json"}
        arguments.json.write_text(json.dumps(settings | {"losses": figures}, indent=2))


if __name__ == "__main__":
    main()

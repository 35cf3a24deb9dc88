#!/usr/bin/env python3
"""Times the dense teacher beside open_clip's own encode_image on the same images, in turns.

    python scripts/benchmark_teacher.py [--model ViT-B-16] [--device cuda --precision fp16] [--repeats 7]

Six images of 1600 x 900, as of a car with six cameras, are scaled to 224 x 416 beforehand. `encode_image`
sees them at that size too, with its position embedding interpolated once. For each mode: the median in ms of
a batch of six, how it compares with encode_image, and the most memory on top of what is held before, on a CPU
the resident one as Linux counts it in a process of its own. Weights are random: they do not change the work.
"""

from __future__ import annotations

import argparse
import gc
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import torch
from torch import Tensor, nn

from clip2scene_core.clip.attention import MODES
from clip2scene_core.clip.dense import DenseClip
from clip2scene_core.clip.weights import LoadedClip, load_clip

IMAGES, HEIGHT, WIDTH = 6, 224, 416
DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="ViT-B-16", help="of open_clip")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", choices=DTYPES, default="fp32")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--only", help="print the peak memory of one row")
    parser.add_argument("--compile", action="store_true", help="torch.compile for both sides")
    asked = parser.parse_args()

    run = contenders(asked)
    if asked.only:
        print(peak_mb(run[asked.only], asked.device))
        return
    times: dict[str, list[float]] = {name: [] for name in run}
    for repeat in range(asked.repeats + 1):  # the first one warms up
        for name, call in run.items():
            took = seconds(call, asked.device)
            if repeat:
                times[name].append(took)
    print(
        f"{asked.model}, {IMAGES} images of {HEIGHT} x {WIDTH}, {asked.precision}, {hardware(asked.device)}"
    )
    print(f"{'':14}{'ms':>8}{'of encode_image':>18}{'peak MB':>10}")
    for name, each in times.items():
        ratio = median(a / b for a, b in zip(each, times["encode_image"], strict=True))
        memory = subprocess.check_output(
            [sys.executable, *sys.argv, "--only", name], stderr=subprocess.DEVNULL
        )
        print(f"{name:14}{1e3 * median(each):8.0f}{ratio:18.2f}{float(memory):10.0f}")


def contenders(asked: argparse.Namespace) -> dict[str, Callable[[], Tensor]]:
    """What is timed, by name: encode_image first, then the modes of the dense teacher."""
    clip = load_clip(asked.model, "random", device=asked.device, dtype=DTYPES[asked.precision])
    rgb = torch.randint(256, (IMAGES, HEIGHT, WIDTH, 3), dtype=torch.uint8)
    run: dict[str, Callable[[], Tensor]] = {"encode_image": reference(clip, rgb, asked.compile)}
    for mode in MODES:
        dense = DenseClip(clip, mode=mode, compile=asked.compile)
        run[mode] = lambda dense=dense: dense(rgb).features
    return run


def reference(clip: LoadedClip, rgb: Tensor, compile: bool) -> Callable[[], Tensor]:
    """open_clip's encode_image on these images (B, H, W, 3), from the same bytes to the pooled feature."""
    visual = build(clip, (HEIGHT, WIDTH))
    mean, std = (torch.tensor(each, device=clip.device).reshape(3, 1, 1) for each in (clip.mean, clip.std))
    encode = torch.compile(visual) if compile else visual

    @torch.no_grad()
    def run() -> Tensor:
        images = rgb.to(clip.device).permute(0, 3, 1, 2) / 255
        return encode(((images - mean) / std).to(clip.dtype))

    return run


def build(clip: LoadedClip, size: tuple[int, int]) -> nn.Module:
    """The image encoder made for another size by open_clip itself, with the weights of `clip`."""
    import open_clip

    architecture = clip.name.split("/")[0]
    model = open_clip.create_model(architecture, force_image_size=size, device=clip.device)
    weights = clip.model.state_dict()
    open_clip.model.resize_pos_embed(weights, model)
    model.load_state_dict(weights)
    return model.visual.eval().to(clip.dtype)


def peak_mb(run: Callable[[], Tensor], device: str) -> float:
    """Most memory in 1e6 bytes that a call takes on top of what is held before it."""
    if device.startswith("cuda"):
        torch.cuda.reset_peak_memory_stats()
        held = torch.cuda.memory_allocated()
        run()
        torch.cuda.synchronize()
        return (torch.cuda.max_memory_allocated() - held) / 1e6
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")  # the high-water mark falls to what is resident now
    held = resident_kb("VmRSS")
    run()
    return (resident_kb("VmHWM") - held) * 1024 / 1e6


def resident_kb(field: str) -> int:
    """A figure of this process in KiB."""
    (line,) = (each for each in Path("/proc/self/status").read_text().splitlines() if each.startswith(field))
    return int(line.split()[1])


def seconds(run: Callable[[], Tensor], device: str) -> float:
    """How long one call takes."""
    started = time.perf_counter()
    run()
    if device.startswith("cuda"):
        torch.cuda.synchronize()
    return time.perf_counter() - started


def hardware(device: str) -> str:
    """What it ran on."""
    if device.startswith("cuda"):
        return torch.cuda.get_device_name(device)
    return f"{platform.machine()}, {torch.get_num_threads()} threads"


if __name__ == "__main__":
    main()

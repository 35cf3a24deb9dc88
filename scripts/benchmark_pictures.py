#!/usr/bin/env python3
"""Times the cameras of the simulated town: six pictures of one frame, as of a car with six cameras.

    python scripts/benchmark_pictures.py [--width 400 --height 225] [--seed 3] [--repeats 5]

Prints the fewest seconds of wall clock and of CPU for six pictures, and the shares of the latter that go into
tracing rays and into putting the moving objects where they are. Building the town is not counted.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from typing import Any

from clip2scene_core.simulation.drive import SimulatedDrive
from clip2scene_core.simulation.scene import Scene

STAGES = {"trace": "rays", "blocked": "rays", "in_cone": "objects", "frozen": "objects"}


def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--width", type=int, default=400)
    parser.add_argument("--height", type=int, default=225)
    parser.add_argument("--seed", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=5)
    settings = parser.parse_args()
    size = (settings.width, settings.height)
    drive = SimulatedDrive(settings.seed, frames=2, cameras=6, image_size=size)
    spent: dict[str, float] = defaultdict(float)
    for method, stage in STAGES.items():
        setattr(Scene, method, _timed(getattr(Scene, method), stage, spent))
    results = []
    for _ in range(settings.repeats + 1):
        spent.clear()
        wall, cpu = time.perf_counter(), time.process_time()
        for camera in drive.rig.cameras:
            drive.rendering(0, camera)
        results.append((time.process_time() - cpu, time.perf_counter() - wall, dict(spent)))
    cpu, _, stages = min(results[1:], key=lambda result: result[0])
    wall = min(result[1] for result in results[1:])
    shares = ", ".join(f"{stage} {seconds / cpu:.0%}" for stage, seconds in stages.items())
    place = f"town {settings.seed} ({drive.town.style.name}, wetness {drive.weather.wetness:.1f})"
    print(f"{size[0]} x {size[1]}, {place}")
    print(f"six pictures: {wall:.2f} s, {cpu:.2f} s of CPU; of these {shares}")


def _timed(call: Any, stage: str, spent: dict[str, float]) -> Any:
    def timed(*arguments: Any, **options: Any) -> Any:
        started = time.process_time()
        try:
            return call(*arguments, **options)
        finally:
            spent[stage] += time.process_time() - started

    return timed


if __name__ == "__main__":
    main()

"""A drive played through DDS into the node, and what came of it."""

from clip2scene_ros.demo.run import DemoSummary, run_demo

__all__ = ["DemoSummary", "run_demo"]

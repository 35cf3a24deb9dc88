"""CLIP2Scene without ROS: values, data, sparse networks, training, inference and evaluation."""

__version__ = "0.1.0"

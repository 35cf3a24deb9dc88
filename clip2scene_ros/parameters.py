"""The node's parameters: declared from the dataclasses that hold their defaults and descriptions."""

from __future__ import annotations

import dataclasses
import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.exceptions import InvalidParameterTypeException, InvalidParameterValueException
from rclpy.node import Node

from clip2scene_core.config import InferenceConfig, from_dict, setting
from clip2scene_core.errors import ConfigError
from clip2scene_ros.diagnostics import DiagnosticsConfig

T = TypeVar("T")

IMAGE_TRANSPORTS = ("raw", "compressed")

AT_RUN_TIME = ("classes",)
"""The parameters that may be changed while the node runs; all others are read-only."""

_OF_RCLPY = ("use_sim_time", "start_type_description_service", "qos_overrides.")
"""Parameters, or their beginnings, that rclpy itself declares."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SegmentConfig:
    """What the node needs beside the settings of inference."""

    classes: tuple[str, ...] = setting(
        ("",),
        'classes to label with: names of the checkpoint, or other words of the CLIP that taught it, with "|" '
        'between the phrases of a class; [""] for all of the checkpoint',
    )
    cameras: tuple[str, ...] = setting(
        ("",), 'names of the cameras, each with topics ~/input/<name>/image and camera_info; [""] for none'
    )
    image_transport: str = setting(
        "raw", "raw (~/input/<name>/image) or compressed (~/input/<name>/image/compressed)"
    )
    rectified_cameras: tuple[str, ...] = setting(
        ("",),
        "names of the cameras whose images are rectified; those of topics like image_rect are without it",
    )
    slop_ms: float = setting(
        50.0, "an image further than this from a scan in time is not used with it", least=0.0, most=10_000.0
    )
    lidars: tuple[str, ...] = setting(
        ("",), 'names of LiDARs beside the main one, each with a topic ~/input/<name>/points; [""] for none'
    )
    lidar_slop_ms: float = setting(
        100.0, "a scan of these further than this from a scan in time is not used", least=0.0, most=10_000.0
    )
    deskew: bool = setting(
        True, "take out the motion during a scan whose points have times; false where the driver does"
    )
    fixed_frame: str = setting("odom", "frame in which the world stands still, for ego motion")
    tf_timeout_ms: float = setting(
        100.0, "how long a scan waits for its transforms", least=0.0, most=10_000.0
    )
    sweep_age_s: float = setting(2.0, "earlier sweeps older than this are not used", least=0.0, most=600.0)
    diagnostics: DiagnosticsConfig = dataclasses.field(default_factory=DiagnosticsConfig)

    def __post_init__(self) -> None:
        if self.image_transport not in IMAGE_TRANSPORTS:
            known = " or ".join(IMAGE_TRANSPORTS)
            raise ConfigError(f"image_transport must be {known}, got '{self.image_transport}'")
        if not self.fixed_frame:
            raise ConfigError("fixed_frame must name a frame, got ''")
        for parameter, sensors in (("cameras", self.cameras), ("lidars", self.lidars)):
            for name in filter(None, sensors):
                if not re.fullmatch(r"[A-Za-z_]\w*(/[A-Za-z_]\w*)*", name, re.ASCII):
                    raise ConfigError(
                        f"{parameter}: '{name}' cannot be part of a topic: letters, digits and _ can"
                    )
        for name in filter(None, self.rectified_cameras):
            if name not in self.cameras:
                raise ConfigError(f"rectified_cameras: '{name}' is none of the cameras")


def declare(node: Node) -> tuple[SegmentConfig, InferenceConfig]:
    """Declare every parameter and return the values in force.

    Raises ConfigError for an unknown name, a wrong type or a value out of range.
    """
    _reject_unknown(node)
    return _declared(node, SegmentConfig), _declared(node, InferenceConfig)


def names() -> list[str]:
    """Every parameter of the node, but those of rclpy."""
    return [name for cls in (SegmentConfig, InferenceConfig) for name, _, _ in _settings(cls)]


def chosen(values: Sequence[str] | None) -> tuple[str, ...]:
    """The strings that are not empty: ROS cannot tell the type of an empty list, so [""] stands for it."""
    return tuple(value for value in values or () if value)


def _settings(cls: type, prefix: str = "") -> Iterator[tuple[str, Any, Mapping[str, Any]]]:
    """Name, default and metadata (see config.setting) of every setting of a dataclass tree."""
    defaults = cls()
    for f in dataclasses.fields(cls):
        default = getattr(defaults, f.name)
        if dataclasses.is_dataclass(default):
            yield from _settings(type(default), f"{prefix}{f.name}.")
        else:
            yield prefix + f.name, default, f.metadata


def _reject_unknown(node: Node) -> None:
    """rclpy ignores a misspelt parameter in silence, and has no public list of those that were given.

    (The option automatically_declare_parameters_from_overrides has one, but fails on an empty list.)
    """
    known = names()
    for name in getattr(node, "_parameter_overrides", ()):
        if name not in known and not name.startswith(_OF_RCLPY):
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean '{near[0]}'?" if near else ""
            raise ConfigError(f"unknown parameter '{name}'{hint}")


def _declared(node: Node, cls: type[T]) -> T:
    content: dict[str, Any] = {}
    for name, default, metadata in _settings(cls):
        *parents, last = name.split(".")
        section = content
        for parent in parents:
            section = section.setdefault(parent, {})
        section[last] = _declare_one(node, name, default, metadata)
    return from_dict(cls, content)


def _declare_one(node: Node, name: str, default: Any, metadata: Mapping[str, Any]) -> Any:
    is_list = isinstance(default, tuple)
    try:
        parameter = node.declare_parameter(
            name, list(default) if is_list else default, _descriptor(name, default, metadata)
        )
    except (InvalidParameterTypeException, InvalidParameterValueException) as error:
        raise ConfigError(f"parameter '{name}': {error}") from error
    return chosen(parameter.value) if is_list else parameter.value


def _descriptor(name: str, default: Any, metadata: Mapping[str, Any]) -> ParameterDescriptor:
    descriptor = ParameterDescriptor(description=metadata["help"], read_only=name not in AT_RUN_TIME)
    least, most = metadata["least"], metadata["most"]
    if isinstance(default, float):
        descriptor.floating_point_range = [FloatingPointRange(from_value=least, to_value=most)]
    elif isinstance(default, int) and not isinstance(default, bool):
        descriptor.integer_range = [IntegerRange(from_value=least, to_value=most, step=1)]
    return descriptor

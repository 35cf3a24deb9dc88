"""Parameters come from the dataclasses, are described and bounded, and wrong ones are named."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

pytest.importorskip("rclpy", reason="ROS 2 is not installed")

from rclpy.node import Node
from rclpy.parameter import Parameter

from clip2scene_core.config import InferenceConfig
from clip2scene_core.errors import ConfigError
from clip2scene_ros import parameters
from clip2scene_ros.parameters import SegmentConfig

CONFIG = Path(__file__).parents[2] / "config" / "segment.yaml"


@pytest.fixture
def declare(ros_context):
    """Declares the parameters on a new node with these overrides; gives the node and both configurations."""
    nodes: list[Node] = []

    def make(*arguments: str, **overrides):
        nodes.append(
            Node(
                "segment",
                context=ros_context,
                cli_args=["--ros-args", *arguments] if arguments else None,
                parameter_overrides=[Parameter(name, value=value) for name, value in overrides.items()],
            )
        )
        return nodes[-1], *parameters.declare(nodes[-1])

    yield make
    for node in nodes:
        node.destroy_node()


def test_defaults_are_those_of_the_dataclasses(declare) -> None:
    _, config, inference = declare()
    assert inference == InferenceConfig()
    assert config == SegmentConfig(classes=(), cameras=(), rectified_cameras=(), lidars=())


def test_overrides_reach_the_dataclasses(declare) -> None:
    _, config, inference = declare(**{"sweeps": 3, "cameras": ["a", "b"], "diagnostics.period_s": 0.5})
    assert (inference.sweeps, config.cameras, config.diagnostics.period_s) == (3, ("a", "b"), 0.5)


def test_every_parameter_is_described_and_all_but_classes_are_read_only(declare) -> None:
    node, *_ = declare()
    for name in parameters.names():
        descriptor = node.describe_parameter(name)
        assert len(descriptor.description) > 5, name
        assert descriptor.read_only == (name != "classes"), name


@pytest.mark.parametrize(
    ("name", "least", "most"),
    [("scan_statistics", 0.0, 1.0), ("slop_ms", 0.0, 1e4), ("sweeps", 0, 50), ("threads", 0, 1024)],
)
def test_numbers_have_the_limits_of_the_dataclasses(declare, name, least, most) -> None:
    descriptor = declare()[0].describe_parameter(name)
    (bounds,) = [*descriptor.floating_point_range, *descriptor.integer_range]
    assert (bounds.from_value, bounds.to_value) == (least, most)


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("slopms", 10.0, "unknown parameter 'slopms'; did you mean 'slop_ms'?"),
        ("slop_ms", "wide", "parameter 'slop_ms': "),
        ("slop_ms", -1.0, "parameter 'slop_ms': "),
        ("sweeps", 51, "parameter 'sweeps': "),
        ("diagnostics.period_s", 0.0, "parameter 'diagnostics.period_s': "),
        ("image_transport", "theora", "image_transport must be raw or compressed, got 'theora'"),
        ("fixed_frame", "", "fixed_frame must name a frame"),
        ("cameras", "front", "parameter 'cameras': "),
        ("lidars", ["/left"], "lidars: '/left' cannot be part of a topic"),
        ("cameras", ["left", "front-left"], "cameras: 'front-left' cannot be part of a topic"),
    ],
)
def test_wrong_parameters_are_named(declare, name, value, text) -> None:
    with pytest.raises(ConfigError) as caught:
        declare(**{name: value})
    assert text in str(caught.value) and "\n" not in str(caught.value)


def test_parameters_of_rclpy_are_no_strangers(declare) -> None:
    node, *_ = declare(**{"use_sim_time": True, "qos_overrides./tf.subscription.depth": 5})
    assert node.get_parameter("use_sim_time").value is True


def flattened(content: dict, prefix: str = "") -> dict:
    flat = {}
    for key, value in content.items():
        flat |= flattened(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return flat


def test_the_configuration_file_names_every_parameter_with_its_default(declare) -> None:
    node, *_ = declare()
    shown = flattened(yaml.safe_load(CONFIG.read_text())["/**"]["ros__parameters"])
    assert shown == {name: node.get_parameter(name).value for name in parameters.names()}


def test_the_configuration_file_is_accepted_by_ros(declare) -> None:
    _, config, inference = declare("--params-file", str(CONFIG))
    assert (config, inference) == (
        SegmentConfig(classes=(), cameras=(), rectified_cameras=(), lidars=()),
        InferenceConfig(),
    )


def test_an_empty_list_in_a_file_is_an_empty_list(declare, tmp_path) -> None:
    path = tmp_path / "empty.yaml"
    path.write_text("segment: {ros__parameters: {cameras: [], classes: []}}\n")
    _, config, _ = declare("--params-file", str(path))
    assert (config.cameras, config.classes) == ((), ())

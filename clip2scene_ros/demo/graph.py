"""A ROS graph for one demo: the node in a process of its own, player and audience in this one."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import rclpy
import yaml
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

from clip2scene_core.errors import Clip2SceneError
from clip2scene_core.writing import whole_file
from clip2scene_ros.demo.audience import Audience
from clip2scene_ros.demo.player import Drive, Player

FAST_DDS_PROFILE = """<?xml version="1.0" encoding="UTF-8"?>
<dds xmlns="http://www.eprosima.com">
  <profiles>
    <transport_descriptors>
      <transport_descriptor>
        <transport_id>shared_memory</transport_id>
        <type>SHM</type>
        <segment_size>16777216</segment_size>
      </transport_descriptor>
      <transport_descriptor>
        <transport_id>udp</transport_id>
        <type>UDPv4</type>
      </transport_descriptor>
    </transport_descriptors>
    <participant profile_name="large clouds" is_default_profile="true">
      <rtps>
        <userTransports>
          <transport_id>shared_memory</transport_id>
          <transport_id>udp</transport_id>
        </userTransports>
        <useBuiltinTransports>false</useBuiltinTransports>
      </rtps>
    </participant>
  </profiles>
</dds>
"""
"""A cloud is larger than the 0.5 MB of shared memory that Fast DDS takes by default: it would overflow,
and what follows, such as transforms, would wait up to 3 s to be sent again. Other DDS do not read this."""

START_TIMEOUT_S = 300.0
STOP_TIMEOUT_S = 10.0


@contextmanager
def running_node(drive: Drive, parameters: Mapping[str, Any], out: Path) -> Iterator[tuple[Player, Audience]]:
    """The node with these parameters, connected to a player of `drive` and an audience.

    Parameters and log of the node lie in `out`. Raises Clip2SceneError where the node does not start,
    and, from waits of the audience, where it ends.
    """
    domain = 1 + os.getpid() % 100
    out.mkdir(parents=True, exist_ok=True)
    _set_up_dds(out / "fastdds.xml")
    with (
        _process(parameters, out, domain) as process,
        _spinning(domain) as node,
    ):
        player, audience = Player(node, drive), Audience(node, lambda: _check(process, out / "node.log"))
        ready = audience.wait(lambda: player.connected() and audience.label_info, START_TIMEOUT_S)
        if not ready:
            raise Clip2SceneError(
                f"the node did not answer within {START_TIMEOUT_S:.0f} s; see {out / 'node.log'}"
            )
        yield player, audience


def _set_up_dds(profile: Path) -> None:
    """Nothing leaves this machine, and large clouds fit into shared memory unless the user has a profile."""
    os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    if os.access("/dev/shm", os.W_OK):
        with whole_file(profile) as path:
            path.write_text(FAST_DDS_PROFILE)
        os.environ.setdefault("FASTRTPS_DEFAULT_PROFILES_FILE", str(profile.resolve()))


@contextmanager
def _process(parameters: Mapping[str, Any], out: Path, domain: int) -> Iterator[subprocess.Popen]:
    """The node in a session of its own, so that Ctrl-C reaches it through us, and only once."""
    with whole_file(out / "segment.yaml") as path:
        path.write_text(yaml.safe_dump({"segment": {"ros__parameters": dict(parameters)}}))
    command = [sys.executable, "-m", "clip2scene_ros.node"]
    command += ["--ros-args", "--params-file", str(out / "segment.yaml")]
    with open(out / "node.log", "wb") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=os.environ | {"ROS_DOMAIN_ID": str(domain)},
            start_new_session=True,
        )
        try:
            yield process
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@contextmanager
def _spinning(domain: int) -> Iterator[Node]:
    """A node of this process whose callbacks run in the background; signals stay with Python."""
    context, ended = Context(), threading.Event()
    rclpy.init(context=context, domain_id=domain, signal_handler_options=SignalHandlerOptions.NO)
    node = rclpy.create_node("demo", context=context)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)

    def spin() -> None:
        while not ended.is_set():
            executor.spin_once(timeout_sec=0.1)

    thread = threading.Thread(target=spin, name="demo executor", daemon=True)
    thread.start()
    try:
        yield node
    finally:
        ended.set()
        thread.join(STOP_TIMEOUT_S)
        executor.shutdown()
        node.destroy_node()
        rclpy.try_shutdown(context=context)


def _check(process: subprocess.Popen, log: Path) -> None:
    """Raises Clip2SceneError, with the node's last word, if it has ended."""
    code = process.poll()
    if code is not None:
        lines = log.read_text(errors="replace").strip().splitlines() or ["it said nothing"]
        last_word = re.sub(r"^(\[[^]]*\] ?)+: ?", "", lines[-1])
        raise Clip2SceneError(f"the node ended with exit code {code}: {last_word}")

"""Stamps against the time of recording: clocks, loops, repetitions and missing stamps."""

from __future__ import annotations

import numpy as np
import pytest
from test_rosbag import (
    MOUNTING,
    MS,
    NO_TURN,
    START,
    camera_info,
    cloud,
    drive,
    image,
    rgb_of,
    transforms,
    write,
    xyz_of,
)

from clip2scene_core.data.bag_index import index_bag
from clip2scene_core.data.bag_reader import BagReader
from clip2scene_core.data.open import open_source, parse_options
from clip2scene_core.data.rosbag import RosbagSource
from clip2scene_core.errors import CalibrationError, DataError

BOOT = 5_000_000_000
"""What a LiDAR says that was switched on 5 s ago, when the drive starts."""

assert write  # the fixture


def without_points(scans):
    return [message for message in drive(scans) if message[0] != "/points"]


def scans_on_boot_clock(scans):
    """Recorded 8 ms after they were taken."""
    return [
        ("/points", START + (100 * i + 8) * MS, cloud(BOOT + 100 * i * MS, xyz_of(i))) for i in range(scans)
    ]


def camera(stamps_ns, logged_ns):
    yield "/front/camera_info", START, camera_info(7, 5)
    for i, (stamp_ns, logged) in enumerate(zip(stamps_ns, logged_ns, strict=True)):
        yield "/front/image_raw", logged, image(stamp_ns, "rgb8", rgb_of(i))


def test_headers_without_time_get_that_of_recording(write):
    unstamped = [("/points", START + 100 * i * MS, cloud(0, xyz_of(i))) for i in range(3)]
    source = RosbagSource(write(*without_points(3), *unstamped))
    assert source.notes == ("/points: the headers have no time, that of recording is used",)
    assert [frame.scan.stamp_ns for frame in source] == [START + 100 * i * MS for i in range(3)]
    np.testing.assert_allclose(source[2].world_from_lidar.translation, [3, 0, 2], atol=1e-9)


def test_single_messages_without_time_are_left_out(write):
    source = RosbagSource(write(*drive(3), ("/points", START + 250 * MS, cloud(0, xyz_of(9)))))
    assert len(source) == 3
    assert source.notes == ("/points: 1 of 4 messages have no time in their header and are left out",)


def test_messages_with_the_same_stamp_are_read_once(write):
    again = [("/points", START + 150 * MS, cloud(START + 100 * MS, xyz_of(9)))]
    source = RosbagSource(write(*drive(3), *again))
    assert len(source) == 3
    assert source.notes == ("/points: 1 messages have the stamp of another one and are left out",)
    np.testing.assert_array_equal(source[1].scan.xyz, xyz_of(1).astype(np.float32))


def test_a_lidar_on_another_clock_is_an_error_that_says_so(write):
    with pytest.raises(CalibrationError) as error:
        RosbagSource(write(*without_points(6), *scans_on_boot_clock(6)))
    ahead_ms = (START - BOOT) // MS + 8
    assert "all 6 scans lie outside the time at which the pose" in str(error.value)
    assert f"by the times of recording, /tf is {ahead_ms / 1e3:.3f} s ahead of /points" in str(error.value)
    assert f"clock_offset_ms=/tf:{-ahead_ms} or align_clocks=true corrects" in str(error.value)


@pytest.mark.parametrize(
    ("options", "stamp_ns"),
    [
        ("align_clocks=true", BOOT),
        (f"clock_offset_ms=/tf:{(BOOT - START) / MS}", BOOT),
        (f"clock_offset_ms=/points:{(START - BOOT) / MS}", START),
    ],
)
def test_clocks_can_be_corrected(write, options, stamp_ns):
    """Aligned by the times of recording it is 8 ms, 0.08 m, off: scans are recorded late, TF is not."""
    path = write(*without_points(6), *scans_on_boot_clock(6))
    source = open_source("rosbag", path, **parse_options("rosbag", path, [options]))
    frames = [source[i] for i in range(len(source))]
    assert [frame.scan.stamp_ns for frame in frames] == [stamp_ns + 100 * i * MS for i in range(6)]
    late_m = 0.08 if options.startswith("align") else 0.0
    for i, frame in enumerate(frames):
        np.testing.assert_allclose(frame.world_from_lidar.translation[0], i + 1 + late_m, atol=1e-5)


def test_a_camera_on_another_clock_is_named_and_never_moved_unless_asked(write):
    logged_ns = [START + 100 * i * MS for i in range(4)]
    path = write(*drive(4), *camera([ns - 37_000 * MS for ns in logged_ns], logged_ns))
    source = RosbagSource(path)
    assert all(not frame.images for frame in source)
    assert source.notes[0] == (
        "by the times of recording, /front/image_raw is 36.992 s behind /points: late messages, or another "
        "clock, which clock_offset_ms=/front/image_raw:36992 or align_clocks=true corrects"
    )
    aligned = RosbagSource(path, align_clocks=True)
    assert "which is corrected" in aligned.notes[0]
    assert [frame.images["front"].stamp_ns for frame in aligned] == [ns - 8 * MS for ns in logged_ns]
    named = RosbagSource(path, clock_offset_ms={"/front/image_raw": 37_000})
    assert [frame.images["front"].stamp_ns for frame in named] == logged_ns
    with pytest.raises(DataError, match="no topic '/rear' for clock_offset_ms"):
        RosbagSource(path, clock_offset_ms={"/rear": 1})


def test_late_messages_are_no_other_clock(write):
    logged_ns = [START + (100 * i + 400) * MS for i in range(4)]
    source = RosbagSource(write(*drive(4), *camera([ns - 400 * MS for ns in logged_ns], logged_ns)))
    assert source.notes == ()
    assert all(frame.images for frame in source)


def test_post_dated_transforms_are_no_other_clock(write):
    """As amcl does, whose map -> odom holds a second longer."""
    ahead = [
        (
            "/tf",
            START + 100 * i * MS,
            transforms(("map", "odom", START + (100 * i + 1000) * MS, (0, 0, 0), NO_TURN)),
        )
        for i in range(-11, 4)
    ]
    source = RosbagSource(write(*drive(3), *ahead))
    assert (len(source), source.notes) == (3, ())


def played(start_ns, offset_m, scans):
    """A drive that is recorded from a time on, always stamped as if it began at START."""
    for i in range(2 * scans + 2):
        pose = ("odom", "base_link", START + (50 * i - 25) * MS, (0.5 * i - 0.25 + offset_m, 0, 0), NO_TURN)
        yield "/tf", start_ns + (50 * i - 25) * MS, transforms(pose)
    for i in range(scans):
        yield "/points", start_ns + 100 * i * MS, cloud(START + 100 * i * MS, xyz_of(i))


def test_of_a_bag_in_which_time_goes_back_one_stretch_is_read(write):
    """Two drives of 2 s and 3 s, 50 m apart; the second starts 0.2 s after the first ends."""
    path = write(("/tf_static", START, MOUNTING), *played(START, 0, 20), *played(START + 2_200 * MS, 50, 30))
    source = RosbagSource(path)
    assert len(source) == 30
    np.testing.assert_allclose(source[0].world_from_lidar.translation, [51, 0, 2], atol=1e-9)
    np.testing.assert_allclose(source[29].world_from_lidar.translation, [80, 0, 2], atol=1e-9)
    assert source.notes == (
        "time goes back on /points, which splits the bag into 2 stretches of 20, 30 messages; "
        "number 2 is read, choose another with stretch=NUMBER",
    )
    first = RosbagSource(path, stretch=1)
    assert len(first) == 20
    for i in (0, 19):
        np.testing.assert_allclose(first[i].world_from_lidar.translation, [i + 1, 0, 2], atol=1e-9)
    with pytest.raises(DataError, match="stretch=3 is too large: time goes back 1 times on /points"):
        RosbagSource(path, stretch=3)


def test_one_odd_stamp_is_no_new_stretch(write):
    odd = [("/points", START + 950 * MS, cloud(START + ns, xyz_of(9))) for ns in (-(10**12), 10**12)]
    source = RosbagSource(write(*drive(20), *odd))
    assert len(source) == 20
    assert [note for note in source.notes if "stretch" in note] == []
    assert any("2 of 22 scans lie outside the time" in note for note in source.notes)


def test_times_of_all_topics(write):
    clouds = [("/points", START + ms * MS, cloud(START + (ms - 30) * MS, xyz_of(0))) for ms in (0, 100, 400)]
    index = index_bag(BagReader(write(("/tf_static", START, MOUNTING), *clouds)), all_topics=True)
    times = index.topics["/points"]
    assert (times.type, times.count) == ("sensor_msgs/msg/PointCloud2", 3)
    assert (times.first_ns, times.last_ns) == (START - 30 * MS, START + 370 * MS)
    assert (times.largest_gap_ns, times.lead_ns) == (300 * MS, -30 * MS)
    assert times.rate_hz == pytest.approx(5.0)
    assert index.topics["/tf_static"].rate_hz == 0.0

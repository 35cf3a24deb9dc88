"""A recording whose labels are replaced by those of a stand-in network."""

from __future__ import annotations

import numpy as np
import pytest

from clip2scene_core.inference.labelled import LabelledSource
from clip2scene_core.labels import LabelSet
from clip2scene_core.types import SemanticLabels

KITTI, STREET = LabelSet.named("semantic_kitti"), LabelSet.named("street")


class Heights:
    """Calls everything below zero road, and the rest building."""

    label_set = STREET

    def segment(self, frame, stages):
        with stages("look"):
            low = frame.scan.xyz[:, 2] < 0
        names = np.where(low, STREET.id_of("road"), STREET.id_of("building"))
        return SemanticLabels(
            class_id=names.astype(np.uint16), probability=np.full(len(low), 0.5, np.float32)
        )


@pytest.fixture
def recording(frame_list, make_frame):
    """Two frames of two points, all called car by their ground truth."""
    car = KITTI.id_of("car")
    points = ([(5, 0, -1), (5, 0, 1)], [(6, 0, 2), (6, 0, -2)])
    return frame_list([make_frame(np.array(xyz), [car, car]) for xyz in points], KITTI)


def test_the_labels_of_the_student_take_the_place_of_the_truth(recording):
    source = LabelledSource(recording, Heights())
    assert (len(source), source.label_set) == (2, STREET)
    road, building = STREET.id_of("road"), STREET.id_of("building")
    assert [frame.labels.class_id.tolist() for frame in source] == [[road, building], [building, road]]
    assert source[0].labels.probability.tolist() == [0.5, 0.5]
    assert recording[0].labels.class_id.tolist() == [KITTI.id_of("car")] * 2


def test_all_else_is_that_of_the_recording(recording):
    source = LabelledSource(recording, Heights())
    assert source[1].scan is recording[1].scan
    assert source.mounting(0).keys() == {"lidar"}
    assert (source.camera_names, source.notes) == (recording.camera_names, recording.notes)


def test_only_what_is_read_is_labelled_and_timed(recording):
    source = LabelledSource(recording, Heights())
    assert source.stage_ms == {}
    source[1]
    assert source.stage_ms.keys() == {1}
    assert source.stage_ms[1].keys() == {"look"} and source.stage_ms[1]["look"] > 0

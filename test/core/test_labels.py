"""The label sets that ship with the package against tables written out by hand."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
import yaml

from clip2scene_core.errors import ConfigError
from clip2scene_core.labels import LabelSet

SETS = {
    "nuscenes": 16,
    "semantic_kitti": 19,
    "scannet": 20,
    "street": 11,
    "t4": 25,
    "town": 22,
}

NUSCENES_CLASSES = """barrier, bicycle, bus, car, construction vehicle, motorcycle, pedestrian, traffic cone,
    trailer, truck, driveable surface, other flat, sidewalk, terrain, manmade, vegetation"""
NUSCENES_RAW = {
    **dict.fromkeys([2, 3, 4, 6], 7),
    **{9: 1, 12: 8, 14: 2, 15: 3, 16: 3, 17: 4, 18: 5, 21: 6, 22: 9, 23: 10},
    **{24: 11, 25: 12, 26: 13, 27: 14, 28: 15, 30: 16},
}
KITTI_CLASSES = """car, bicycle, motorcycle, truck, other vehicle, person, bicyclist, motorcyclist, road,
    parking, sidewalk, other ground, building, fence, vegetation, trunk, terrain, pole, traffic sign"""
KITTI_RAW = {
    **{10: 1, 11: 2, 13: 5, 15: 3, 16: 5, 18: 4, 20: 5, 30: 6, 31: 7, 32: 8},
    **{40: 9, 44: 10, 48: 11, 49: 12},
    **{50: 13, 51: 14, 60: 9, 70: 15, 71: 16, 72: 17, 80: 18, 81: 19},
    **{252: 1, 253: 7, 254: 6, 255: 8, 256: 5, 257: 5, 258: 4, 259: 5},
}
STREET_FROM_KITTI = {
    "road": "road, parking, other ground",
    "sidewalk": "sidewalk",
    "terrain": "terrain",
    "vegetation": "vegetation, trunk",
    "building": "building",
    "fence": "fence",
    "pole": "pole, traffic sign",
    "car": "car",
    "large vehicle": "truck, other vehicle",
    "two-wheeler": "bicycle, motorcycle, bicyclist, motorcyclist",
    "person": "person",
}
STREET_FROM_NUSCENES = {
    "road": "driveable surface, other flat",
    "sidewalk": "sidewalk",
    "terrain": "terrain",
    "vegetation": "vegetation",
    "building": "manmade",
    "fence": "barrier",
    "pole": "traffic cone",
    "car": "car",
    "large vehicle": "bus, trailer, truck, construction vehicle",
    "two-wheeler": "bicycle, motorcycle",
    "person": "pedestrian",
}


STREET_FROM_T4 = {
    "road": "drivable surface",
    "sidewalk": "sidewalk",
    "vegetation": "vegetation",
    "building": "manmade",
    "pole": "traffic cone",
    "car": "car",
    "large vehicle": "bus, train, truck, tractor unit, semi trailer, construction vehicle, forklift",
    "two-wheeler": "bicycle, motorcycle",
    "person": "pedestrian",
    "ignore": """other flat surface, emergency vehicle, kart, personal mobility, animal, pushable pullable,
        stroller, debris, other stuff""",
}


def words(text):
    return [" ".join(part.split()) for part in text.split(",")]


def test_the_sets_that_ship():
    assert set(LabelSet.shipped()) == set(SETS)


@pytest.mark.parametrize(("name", "count"), SETS.items())
def test_every_set_loads_with_consecutive_ids_phrases_and_distinct_colours(name, count):
    labels = LabelSet.named(name)
    assert labels.name == name
    assert labels.ids.tolist() == list(range(1, count + 1))
    assert labels.ignore_id == 0
    phrases = [phrase for of_class in labels.phrases for phrase in of_class]
    assert all(labels.phrases) and all(phrase and "_" not in phrase for phrase in phrases)
    assert len({phrase.lower() for phrase in phrases}) == len(phrases)
    assert len({c.colour for c in labels.classes}) == count


@pytest.mark.parametrize(
    ("name", "classes", "raw"),
    [("nuscenes", NUSCENES_CLASSES, NUSCENES_RAW), ("semantic_kitti", KITTI_CLASSES, KITTI_RAW)],
)
def test_raw_ids_map_as_the_benchmark_says(name, classes, raw):
    labels = LabelSet.named(name)
    assert list(labels.names) == words(classes)
    ids = np.arange(300)
    np.testing.assert_array_equal(labels.from_raw(ids), [raw.get(int(i), 0) for i in ids])


@pytest.mark.parametrize(
    ("source", "groups"),
    [("semantic_kitti", STREET_FROM_KITTI), ("nuscenes", STREET_FROM_NUSCENES), ("t4", STREET_FROM_T4)],
)
def test_street_groups_the_classes_of_other_sets(source, groups):
    street, source_set = LabelSet.named("street"), LabelSet.named(source)
    for name, members in groups.items():
        ids = np.array([source_set.id_of(member) for member in words(members)], np.uint16)
        assert set(street.from_set(source_set, ids).tolist()) == {street.id_of(name)}
    assert sorted(words(", ".join(groups.values()))) == sorted(source_set.names)
    assert street.from_set(source_set, np.zeros(1, np.uint16)).tolist() == [0]


@pytest.mark.parametrize("name", SETS)
def test_every_mapped_name_exists_in_its_source(name):
    labels = LabelSet.named(name)
    for source, pairs in labels.maps.items():
        assert set(pairs) <= set(LabelSet.named(source).names), source


@pytest.mark.parametrize("name", ["street", "semantic_kitti", "nuscenes"])
def test_town_maps_to_the_sets_that_it_stands_in_for(name):
    town, labels = LabelSet.named("town"), LabelSet.named(name)
    mapped = labels.from_set(town, np.array([town.id_of("car"), town.id_of("trunk"), town.id_of("road")]))
    expected = {"street": (8, 4, 1), "semantic_kitti": (1, 16, 9), "nuscenes": (4, 16, 11)}[name]
    assert mapped.tolist() == list(expected)


def test_scannet_has_the_nyu40_ids_of_its_benchmark():
    raw = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 14, 16, 24, 28, 33, 34, 36, 39]
    assert LabelSet.named("scannet").from_raw(np.array(raw)).tolist() == list(range(1, 21))
    assert LabelSet.named("scannet").from_raw(np.array([0, 13, 40])).tolist() == [0, 0, 0]


def test_ids_that_a_recording_numbers_anew_follow_its_names():
    t4 = LabelSet.named("t4").numbered(
        {0: "unpainted", 7: "driveable_surface", 3: "police_car", 9: "cathedral"}
    )
    names = {3: "emergency vehicle", 7: "drivable surface"}
    expected = [t4.id_of(names[raw]) if raw in names else 0 for raw in range(12)]
    assert t4.from_raw(np.arange(12)).tolist() == expected


def small(**change):
    content = {
        "name": "small",
        "ignore_id": 255,
        "classes": [
            {"id": 3, "name": "cat", "colour": [1, 2, 3]},
            {"id": 0, "name": "dog", "colour": [4, 5, 6], "phrases": ["dog", "puppy"]},
        ],
        "raw_ids": {"7": "cat", "8": "ignore"},
        "maps": {"zoo": {"lion": "cat"}},
    }
    return content | change


def test_lookups_of_a_small_set():
    labels = LabelSet.from_dict(small())
    assert labels.names == ("cat", "dog")
    assert labels.classes[0].phrases == ("cat",)
    assert labels.indices(np.array([0, 3, 255, 9])).tolist() == [1, 0, -1, -1]
    assert labels.from_raw(np.array([7, 8, 9])).tolist() == [3, 255, 255]
    assert labels.palette()[3].tolist() == [1, 2, 3]
    assert labels.id_of("ignore") == 255
    same = np.array([3, 0], np.uint16)
    assert labels.from_set(labels, same) is same


def test_a_set_survives_a_checkpoint_header_and_a_yaml_file(tmp_path):
    labels = LabelSet.from_dict(small())
    again = LabelSet.from_dict(labels.to_dict())
    assert (again.name, again.classes, again.ignore_id) == (labels.name, labels.classes, 255)
    path = tmp_path / "small.yaml"
    path.write_text(yaml.safe_dump(small()))
    assert LabelSet.named(str(path)) == labels


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"classes": []}, "no classes"),
        ({"ignore_id": 3}, "ignore id 3 is the id of a class"),
        ({"classes": [{"id": 70000, "name": "a", "colour": [0, 0, 0]}]}, "0..65535, got 70000"),
        ({"ignore_id": -1}, "0..65535, got -1"),
        ({"raw_ids": {70000: "ignore"}}, "0..65535, got 70000"),
        ({"classes": [{"id": 1, "name": "a", "colour": [0, 0, 256]}]}, "colour of 'a' must be three values"),
        ({"classes": [{"id": 1, "name": "a", "colour": [0, 0]}]}, "colour of 'a' must be three values"),
        ({"classes": [{"id": 1, "name": n, "colour": [0, 0, 0]} for n in "ab"]}, "unique"),
        ({"raw_ids": {1: "cow"}}, "raw_ids maps to unknown class 'cow'"),
        ({"raw_names": {"moo": "cow"}}, "raw_names maps to unknown class 'cow'"),
        ({"maps": {"zoo": {"lion": "cow"}}}, "zoo maps to unknown class 'cow'"),
        (
            {"classes": [{"id": 1, "name": "a", "colour": [0, 0, 0], "phrases": [7]}]},
            "list of phrases, got .7.",
        ),
        ({"classes": [{"id": 1}]}, "malformed"),
        ({"classes": 5}, "malformed"),
    ],
)
def test_impossible_sets_are_errors(change, words):
    with pytest.raises(ConfigError, match=words):
        LabelSet.from_dict(small(**change))


def test_words_become_classes_with_phrases():
    labels = LabelSet.from_words("road, car|van|sport_utility  vehicle, Tram")
    assert (labels.name, labels.names) == ("words", ("road", "car", "Tram"))
    assert labels.phrases == (("road",), ("car", "van", "sport utility vehicle"), ("Tram",))
    assert (labels.ids.tolist(), labels.ignore_id) == ([1, 2, 3], 0)
    assert LabelSet.from_words(["road", "car|van|sport utility vehicle", "Tram"]) == labels


def test_words_of_street_keep_their_colour_and_the_others_keep_theirs_as_the_list_grows():
    street = {c.name: c.colour for c in LabelSet.named("street").classes}
    few = LabelSet.from_words("tram,car,sky,road")
    more = LabelSet.from_words("tram,car,sky,road,vegetation,bench,dog,river,mountain,bin")
    assert more.classes[:4] == few.classes
    assert all(c.colour == street[c.name] for c in more.classes if c.name in ("car", "road", "vegetation"))
    assert len({*street.values(), *(c.colour for c in more.classes)}) == 7 + 11


@pytest.mark.parametrize(
    ("content", "classes"),
    [
        ("- road\n- car|van\n- [tram, streetcar]\n", "road=road, car=car|van, tram=tram|streetcar"),
        ("road, car|van\n", "road=road, car=car|van"),
        (
            "road:\nman_made: [wall, pole]\nman: person|child\n",
            "road=road, man made=wall|pole, man=person|child",
        ),
    ],
)
def test_a_yaml_file_may_hold_no_more_than_words(tmp_path, content, classes):
    path = tmp_path / "mine.yaml"
    path.write_text(content)
    labels = LabelSet.named(str(path))
    assert ", ".join(f"{c.name}={'|'.join(c.phrases)}" for c in labels.classes) == classes
    assert labels.name == "mine"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("", "there is an empty word in ''"),
        ("road,car,", "there is an empty word in ''"),
        ("car||van", "there is an empty word in 'car||van'"),
        ([], "has no classes"),
        (None, "has no classes"),
        (5, "expected a list of words, got 5"),
        ("road, Car, car", "'car' is given twice"),
        ("car|van, truck|van", "'van' is given twice"),
        ({"rider": ["cyclist"], "Rider": ["motorcyclist"]}, "'rider' is given twice"),
        ("road, ignore", "'ignore' stands for no class and cannot be a word"),
        (["road", False], "expected a word or a list of phrases, got False"),
        ([{"car": ["van"]}], "expected a word or a list of phrases, got {'car': ['van']}"),
        ({"car": 5}, "expected a word or a list of phrases, got 5"),
        ({"car": "car, van"}, "'car, van' has a comma; separate the phrases of a class with |"),
    ],
)
def test_words_that_make_no_vocabulary_are_errors(words, message):
    with pytest.raises(ConfigError, match=rf"^label set words:? .*{re.escape(message)}") as caught:
        LabelSet.from_words(words)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_no_yaml_is_named_in_one_line(tmp_path):
    path = tmp_path / "broken.yaml"
    path.write_bytes(b"name: [\n")
    with pytest.raises(ConfigError, match=r"cannot read label set .*broken\.yaml") as caught:
        LabelSet.named(str(path))
    assert "\n" not in str(caught.value)
    path.write_bytes(b"\xff")
    with pytest.raises(ConfigError, match=r"cannot read label set .*broken\.yaml"):
        LabelSet.named(str(path))


def test_sets_of_one_name_must_agree():
    street = LabelSet.named("street")
    fewer = replace(street, classes=street.classes[2:5], raw_ids={}, maps={})
    np.testing.assert_array_equal(street.from_set(fewer, np.array([3, 5, 0], np.uint16)), [3, 5, 0])
    np.testing.assert_array_equal(fewer.from_set(street, np.array([3, 5, 0], np.uint16)), [3, 5, 0])
    renumbered = replace(fewer, classes=tuple(replace(c, id=c.id + 20) for c in fewer.classes))
    with pytest.raises(ConfigError, match="two different label sets are named street: id 23 is 'terrain'"):
        street.from_set(renumbered, np.zeros(1, np.uint16))
    renamed = replace(fewer, classes=(replace(fewer.classes[0], name="lawn"),))
    with pytest.raises(ConfigError, match="two different label sets are named street: id 3 is 'lawn'"):
        street.from_set(renamed, np.zeros(1, np.uint16))


def test_unknown_names_are_errors_that_name_what_is_known():
    with pytest.raises(ConfigError, match="'cityscapes' is unknown; known are nuscenes, scannet"):
        LabelSet.named("cityscapes")
    with pytest.raises(ConfigError, match=r"nowhere\.yaml does not exist"):
        LabelSet.named("nowhere.yaml")
    with pytest.raises(ConfigError, match="has no class 'cow'; it has road"):
        LabelSet.named("street").id_of("cow")
    with pytest.raises(ConfigError, match="street has no map from scannet; it has semantic_kitti"):
        LabelSet.named("street").from_set(LabelSet.named("scannet"), np.zeros(1, np.uint16))

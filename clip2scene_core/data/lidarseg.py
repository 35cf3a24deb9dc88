"""What nuScenes-lidarseg calls the classes of the simulated town."""

from __future__ import annotations

import numpy as np

from clip2scene_core.labels import LabelSet

CATEGORIES = {
    "noise": 0,
    "animal": 1,
    "human.pedestrian.adult": 2,
    "human.pedestrian.child": 3,
    "human.pedestrian.construction_worker": 4,
    "human.pedestrian.personal_mobility": 5,
    "human.pedestrian.police_officer": 6,
    "human.pedestrian.stroller": 7,
    "human.pedestrian.wheelchair": 8,
    "movable_object.barrier": 9,
    "movable_object.debris": 10,
    "movable_object.pushable_pullable": 11,
    "movable_object.trafficcone": 12,
    "static_object.bicycle_rack": 13,
    "vehicle.bicycle": 14,
    "vehicle.bus.bendy": 15,
    "vehicle.bus.rigid": 16,
    "vehicle.car": 17,
    "vehicle.construction": 18,
    "vehicle.emergency.ambulance": 19,
    "vehicle.emergency.police": 20,
    "vehicle.motorcycle": 21,
    "vehicle.trailer": 22,
    "vehicle.truck": 23,
    "flat.driveable_surface": 24,
    "flat.other": 25,
    "flat.sidewalk": 26,
    "flat.terrain": 27,
    "static.manmade": 28,
    "static.other": 29,
    "static.vegetation": 30,
    "vehicle.ego": 31,
}
"""Names and ids of lidarseg."""

CATEGORY_OF = {
    "road": "flat.driveable_surface",
    "parking": "flat.driveable_surface",
    "sidewalk": "flat.sidewalk",
    "terrain": "flat.terrain",
    "building": "static.manmade",
    "fence": "static.manmade",
    "barrier": "movable_object.barrier",
    "vegetation": "static.vegetation",
    "trunk": "static.vegetation",
    "pole": "static.manmade",
    "traffic sign": "static.manmade",
    "traffic cone": "movable_object.trafficcone",
    "car": "vehicle.car",
    "truck": "vehicle.truck",
    "bus": "vehicle.bus.rigid",
    "construction vehicle": "vehicle.construction",
    "motorcycle": "vehicle.motorcycle",
    "bicycle": "vehicle.bicycle",
    "motorcyclist": "vehicle.motorcycle",
    "bicyclist": "vehicle.bicycle",
    "person": "human.pedestrian.adult",
    "other object": "static.other",
}
"""Class of the label set `town` -> category; riders count as what they ride, as in nuScenes."""


def category_ids() -> np.ndarray:
    """(65536,) uint8: the id of the category by the id of the class of `town`; 0 (noise) for others."""
    table = np.zeros(65536, np.uint8)
    for c in LabelSet.named("town").classes:
        table[c.id] = CATEGORIES[CATEGORY_OF[c.name]]
    return table

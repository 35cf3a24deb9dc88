"""The vehicles of the simulated town in one place; forward is +x, all wheels stand on z = 0."""

from clip2scene_core.simulation.cars import car
from clip2scene_core.simulation.lorries import bus, truck
from clip2scene_core.simulation.machines import construction_vehicle
from clip2scene_core.simulation.two_wheelers import bicycle, motorcycle

__all__ = ["bicycle", "bus", "car", "construction_vehicle", "motorcycle", "truck"]

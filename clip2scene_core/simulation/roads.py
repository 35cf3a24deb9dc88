"""Roads as curved centrelines with a cross-section, and the network that they form.

Shapes: S samples of a curve, Q query points. Positions are world x, y in metres; `lateral` is positive to the
left of a curve's direction, `side` is +1 for left and -1 for right.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

_STEP_M = 1.0


class Curve:
    """A line in the plane, sampled every metre."""

    def __init__(self, xy: np.ndarray) -> None:
        """From points (S, 2) a metre apart, S >= 2."""
        self.xy = np.asarray(xy, np.float64)
        along = np.gradient(self.xy, axis=0)
        self.heading = np.unwrap(np.arctan2(along[:, 1], along[:, 0]))
        self.station = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(self.xy, axis=0), axis=1))])
        self._tree = cKDTree(self.xy)

    @classmethod
    def bending(cls, start: np.ndarray, heading: float, curvature: np.ndarray) -> Curve:
        """From a start (2,), a heading in radians and one curvature (1/m) per metre."""
        headings = heading + np.cumsum(curvature) * _STEP_M
        steps = np.stack([np.cos(headings), np.sin(headings)], axis=1) * _STEP_M
        return cls(np.concatenate([[start], start + np.cumsum(steps, axis=0)]))

    @classmethod
    def joined(cls, backwards: Curve, forwards: Curve) -> Curve:
        """Two curves that leave the same point in opposite directions, as one."""
        return cls(np.concatenate([backwards.xy[:0:-1], forwards.xy]))

    @property
    def length_m(self) -> float:
        """Along the curve."""
        return float(self.station[-1])

    def at(self, station_m: np.ndarray, lateral_m: np.ndarray | float = 0.0) -> tuple[np.ndarray, np.ndarray]:
        """Positions (Q, 2) and headings (Q,) at stations (Q,), clamped to the ends."""
        station_m = np.asarray(station_m, np.float64)
        heading = np.interp(station_m, self.station, self.heading)
        x = np.interp(station_m, self.station, self.xy[:, 0]) - lateral_m * np.sin(heading)
        y = np.interp(station_m, self.station, self.xy[:, 1]) + lateral_m * np.cos(heading)
        return np.stack([x, y], axis=-1), heading

    def locate(self, xy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Stations (Q,) and signed distances (Q,) of points (Q, 2); the sign is that of `lateral`."""
        _, index = self._tree.query(xy)
        heading = self.heading[index]
        offset = xy - self.xy[index]
        ahead = offset[:, 0] * np.cos(heading) + offset[:, 1] * np.sin(heading)
        lateral = offset[:, 1] * np.cos(heading) - offset[:, 0] * np.sin(heading)
        beyond = ((index == 0) & (ahead < 0)) | ((index == len(self.xy) - 1) & (ahead > 0))
        distance = np.where(beyond, np.hypot(ahead, lateral), np.abs(lateral))
        return self.station[index] + ahead, np.where(lateral < 0, -distance, distance)


@dataclass(frozen=True, slots=True, kw_only=True)
class RoadSide:
    """What lies on one side of a road, from the lanes outwards."""

    parking: str
    """`none`, `parallel`, `diagonal` or `perpendicular`."""
    parking_m: float
    """Width of the parking bay within the carriageway; 0 for none."""
    bay_m: float = 0.0
    """Height of the bay above the lanes; 0 for a bay that is flush with them."""
    verge_m: float
    """Planted strip between kerb and sidewalk; 0 for none."""
    sidewalk_m: float
    """Width; 0 for none."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Road:
    """A centreline with its cross-section."""

    curve: Curve
    lanes: int
    """Per direction."""
    lane_m: float
    median_m: float
    """Width of the raised strip between the directions; 0 for none."""
    kerb_m: float
    """Height; 0 for a flush edge."""
    left: RoadSide
    right: RoadSide

    def side(self, side: int) -> RoadSide:
        """The left one for a positive `side`, else the right one."""
        return self.left if side > 0 else self.right

    @property
    def lanes_edge_m(self) -> float:
        """Lateral distance from the centre to the outer edge of the lanes."""
        return self.median_m / 2 + self.lanes * self.lane_m

    def edge_m(self, side: int) -> float:
        """Lateral distance from the centre to the kerb."""
        return self.lanes_edge_m + self.side(side).parking_m

    def lane_centre_m(self, lane: int) -> float:
        """Lateral distance of the centre of a lane, 0 being the innermost."""
        return self.median_m / 2 + (lane + 0.5) * self.lane_m


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Surroundings:
    """Where points lie with respect to the network; blends where roads meet."""

    outside_m: np.ndarray
    """(Q,) signed distance to the kerb: negative on the carriageway."""
    verge_m: np.ndarray
    """(Q,) distance from the kerb at which the verge ends."""
    sidewalk_m: np.ndarray
    """(Q,) distance from the kerb at which the sidewalk ends."""
    kerb_m: np.ndarray
    """(Q,) height of the kerb."""
    parking_m: np.ndarray
    """(Q,) width of the parking bay along the kerb."""
    bay_m: np.ndarray
    """(Q,) height of that bay above the lanes."""


class RoadNetwork:
    """Roads that meet in junctions with rounded corners."""

    def __init__(
        self, roads: Sequence[Road], *, corner_m: float, islands: Sequence[tuple[np.ndarray, float]]
    ) -> None:
        """`corner_m` is the radius of corners; `islands` are centre (2,) and radius in metres."""
        self.roads = tuple(roads)
        self.corner_m = corner_m
        self.islands = tuple(islands)

    @property
    def main(self) -> Road:
        """The road that was given first."""
        return self.roads[0]

    def surroundings(self, xy: np.ndarray) -> Surroundings:
        """Of points (Q, 2)."""
        columns = [_across(road, xy) for road in self.roads]
        distance = np.stack([c[0] for c in columns])
        union = distance[0]
        for other in distance[1:]:
            union = _rounded_union(union, other, self.corner_m)
        weights = np.exp(-(distance - distance.min(axis=0)) / 1.5)
        weights /= weights.sum(axis=0)
        blended = np.einsum("rq,rkq->kq", weights, np.stack([c[1] for c in columns]))
        outside = union
        for centre, radius in self.islands:
            outside = np.maximum(outside, radius - np.linalg.norm(xy - centre, axis=1))
        verge, sidewalk, kerb, parking, bay = blended
        median = _on_median(self.main, xy)
        outside = np.where(
            np.isfinite(median) & (distance[1:] > 6).all(axis=0), np.maximum(outside, median), outside
        )
        parking = np.where(outside > union, 0.0, parking)  # no bays along medians and islands
        return Surroundings(
            outside_m=outside,
            verge_m=verge,
            sidewalk_m=sidewalk,
            kerb_m=kerb,
            parking_m=parking,
            bay_m=bay,
        )

    def distance_to_others(self, xy: np.ndarray, road: Road) -> np.ndarray:
        """(Q,) signed distance of points to the nearest other road's kerb; inf where there is none."""
        others = [_across(other, xy)[0] for other in self.roads if other is not road]
        return np.min(others, axis=0) if others else np.full(len(xy), np.inf)


def _across(road: Road, xy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distance (Q,) to one road's kerb, and (5, Q): verge and sidewalk end, kerb, bay width and height."""
    _, lateral = road.curve.locate(xy)
    left = lateral > 0
    distance = np.abs(lateral) - np.where(left, road.edge_m(1), road.edge_m(-1))

    def pick(name: str) -> np.ndarray:
        return np.where(left, getattr(road.left, name), getattr(road.right, name))

    verge = pick("verge_m")
    kerb = np.full(len(xy), road.kerb_m)
    return distance, np.stack([verge, verge + pick("sidewalk_m"), kerb, pick("parking_m"), pick("bay_m")])


def _on_median(road: Road, xy: np.ndarray) -> np.ndarray:
    """(Q,) distance inside the median, NaN where the road has none."""
    if road.median_m == 0:
        return np.full(len(xy), np.nan)
    _, lateral = road.curve.locate(xy)
    return road.median_m / 2 - np.abs(lateral)


def _rounded_union(a: np.ndarray, b: np.ndarray, radius_m: float) -> np.ndarray:
    """Distance to the union of two regions; where their borders meet squarely the corner is an arc."""
    corner = np.hypot(np.maximum(radius_m - a, 0), np.maximum(radius_m - b, 0))
    return np.maximum(radius_m, np.minimum(a, b)) - corner

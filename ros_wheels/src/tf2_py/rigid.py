"""Rigid transforms as a translation and a unit quaternion (x, y, z, w), in plain floats."""

from __future__ import annotations

import math
from typing import NamedTuple

Vector = tuple[float, float, float]
Quaternion = tuple[float, float, float, float]


def add(a: Vector, b: Vector) -> Vector:
    """The sum of two vectors."""
    return (a[0] + b[0], a[1] + b[1], a[2] + b[2])


def subtract(a: Vector, b: Vector) -> Vector:
    """The difference of two vectors."""
    return (a[0] - b[0], a[1] - b[1], a[2] - b[2])


def scale(a: Vector, factor: float) -> Vector:
    """A vector times a number."""
    return (a[0] * factor, a[1] * factor, a[2] * factor)


def cross(a: Vector, b: Vector) -> Vector:
    """The cross product."""
    return (a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0])


def multiply(p: Quaternion, q: Quaternion) -> Quaternion:
    """The Hamilton product: first q, then p."""
    px, py, pz, pw = p
    qx, qy, qz, qw = q
    return (
        pw * qx + px * qw + py * qz - pz * qy,
        pw * qy - px * qz + py * qw + pz * qx,
        pw * qz + px * qy - py * qx + pz * qw,
        pw * qw - px * qx - py * qy - pz * qz,
    )


def unit(q: Quaternion) -> Quaternion:
    """The unit quaternion in the direction of q."""
    norm = math.sqrt(sum(component * component for component in q))
    return (q[0] / norm, q[1] / norm, q[2] / norm, q[3] / norm)


def signed(q: Quaternion) -> Quaternion:
    """Of the two unit quaternions of a rotation the one that tf2 gives: as from the rotation's matrix."""
    pivot = q[3] if abs(q[3]) > 0.5 else max(q[:3], key=abs)
    return q if pivot >= 0.0 else (-q[0], -q[1], -q[2], -q[3])


def conjugate(q: Quaternion) -> Quaternion:
    """The inverse of a unit quaternion."""
    return (-q[0], -q[1], -q[2], q[3])


def rotate(q: Quaternion, v: Vector) -> Vector:
    """The vector part of q v q*."""
    u, w = (q[0], q[1], q[2]), q[3]
    along = 2.0 * (u[0] * v[0] + u[1] * v[1] + u[2] * v[2])
    keep = w * w - (u[0] * u[0] + u[1] * u[1] + u[2] * u[2])
    return add(add(scale(v, keep), scale(u, along)), scale(cross(u, v), 2.0 * w))


def slerp(p: Quaternion, q: Quaternion, ratio: float) -> Quaternion:
    """The rotation that lies `ratio` of the shorter way from p to q."""
    dot = sum(a * b for a, b in zip(p, q, strict=True))
    sign = -1.0 if dot < 0.0 else 1.0
    norm = math.sqrt(sum(a * a for a in p) * sum(b * b for b in q))
    angle = math.acos(min(abs(dot) / norm, 1.0))
    if angle < 1e-9:
        return p
    first = math.sin((1.0 - ratio) * angle) / math.sin(angle)
    second = sign * math.sin(ratio * angle) / math.sin(angle)
    return (
        first * p[0] + second * q[0],
        first * p[1] + second * q[1],
        first * p[2] + second * q[2],
        first * p[3] + second * q[3],
    )


def rotation_vector(q: Quaternion) -> Vector:
    """Axis times angle (rad, at most pi) of a unit quaternion."""
    if q[3] < 0.0:
        q = (-q[0], -q[1], -q[2], -q[3])
    sine = math.sqrt(q[0] * q[0] + q[1] * q[1] + q[2] * q[2])
    if sine < 1e-12:
        return scale((q[0], q[1], q[2]), 2.0)
    return scale((q[0], q[1], q[2]), 2.0 * math.atan2(sine, q[3]) / sine)


class Rigid(NamedTuple):
    """`target_from_source`: p_target = rotate(rotation, p_source) + translation."""

    translation: Vector = (0.0, 0.0, 0.0)
    rotation: Quaternion = (0.0, 0.0, 0.0, 1.0)

    def apply(self, point: Vector) -> Vector:
        """A point of the source frame in the target frame."""
        return add(rotate(self.rotation, point), self.translation)

    def compose(self, other: Rigid) -> Rigid:
        """`a_from_b.compose(b_from_c)` is `a_from_c`."""
        return Rigid(self.apply(other.translation), multiply(self.rotation, other.rotation))

    def inverse(self) -> Rigid:
        """`source_from_target`."""
        back = conjugate(self.rotation)
        return Rigid(scale(rotate(back, self.translation), -1.0), back)

    def interpolate(self, other: Rigid, ratio: float) -> Rigid:
        """Linear in the translation, spherical in the rotation; ratio 0 is self, 1 is other."""
        step = scale(subtract(other.translation, self.translation), ratio)
        return Rigid(add(self.translation, step), slerp(self.rotation, other.rotation, ratio))

"""How lenses bend rays: OpenCV's models, forwards and backwards, and the radius at which they fold.

Rays are given by where they cut the plane z = 1: x and y, (N,) float64 each. A model is fitted to what a
calibration target showed; farther out its polynomial may turn round, so that rays from far outside the
view seem to land in the image. The models end where they turn: at the fold.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.polynomial import polynomial

Points = tuple[np.ndarray, np.ndarray]

STEPS = 20
"""Of Newton's method, at most: its error is squared each time, so 3 to 6 are enough where the model bends."""

TABLE = 1024
"""Entries of the table from which it starts."""


class Lens(Protocol):
    """A model with its coefficients."""

    fold: float
    """The model is defined on x^2 + y^2 < fold^2; inf where it never turns."""

    def distort(self, x: np.ndarray, y: np.ndarray) -> Points:
        """Where rays within the fold cut the plane behind the lens."""

    def undistort(self, x: np.ndarray, y: np.ndarray) -> Points:
        """The inverse of `distort`; NaN where no ray within the fold arrives."""


class PinholeLens:
    """Bends nothing."""

    fold = np.inf

    def distort(self, x: np.ndarray, y: np.ndarray) -> Points:
        return x, y

    def undistort(self, x: np.ndarray, y: np.ndarray) -> Points:
        return x, y


class PolynomialLens:
    """The model of Brown and Conrady as OpenCV has it: radial, tangential, thin prism, tilted sensor."""

    def __init__(self, coefficients: np.ndarray) -> None:
        """k1 k2 p1 p2 [k3 [k4 k5 k6 [s1 s2 s3 s4 [tau_x tau_y]]]]."""
        all_14 = np.pad(coefficients, (0, 14 - len(coefficients)))
        k1, k2, self._p1, self._p2, k3, k4, k5, k6, *self._prism, tau_x, tau_y = all_14
        self._numerator = n = np.trim_zeros(np.array([1.0, k1, k2, k3]), "b")
        self._denominator = d = np.trim_zeros(np.array([1.0, k4, k5, k6]), "b")
        self._slope = polynomial.polysub(
            polynomial.polymul(polynomial.polyder(n), d), polynomial.polymul(n, polynomial.polyder(d))
        )
        """Numerator of the derivative of the radial factor n / d by r^2; its denominator is d^2."""
        self._tilt = _tilt(tau_x, tau_y)
        # The derivative of r n(r^2) / d(r^2), which is 1 in the middle, turns negative or d has a pole.
        growth = polynomial.polyadd(polynomial.polymul(n, d), 2 * polynomial.polymulx(self._slope))
        self.fold = np.sqrt(min(_first_zero(growth), _first_zero(d)))

    def distort(self, x: np.ndarray, y: np.ndarray) -> Points:
        x, y = self._bent(x, y)
        return _mapped(self._tilt, x, y)

    def undistort(self, x: np.ndarray, y: np.ndarray) -> Points:
        """Newton's method from the solution without tangential and prism terms, which are small."""
        goal_x, goal_y = _mapped(np.linalg.inv(self._tilt), x, y)
        radii = np.tan(np.linspace(0, np.arctan(self.fold), TABLE, endpoint=False))
        bent = np.hypot(goal_x, goal_y)
        stretch = _ratio(np.interp(bent, radii * self._radial(radii**2), radii), bent)
        x, y = goal_x * stretch, goal_y * stretch
        for _ in range(STEPS):
            error_x, error_y = np.subtract(self._bent(x, y), (goal_x, goal_y))
            xx, xy, yx, yy = self._jacobian(x, y)
            determinant = xx * yy - xy * yx
            step_x = (yy * error_x - xy * error_y) / determinant
            step_y = (xx * error_y - yx * error_x) / determinant
            x, y = x - step_x, y - step_y
            if not (np.hypot(step_x, step_y) > 1e-14 * (1 + np.hypot(x, y))).any():
                break
        error = np.hypot(*np.subtract(self._bent(x, y), (goal_x, goal_y)))
        return _where((error < 1e-12 * (1 + bent)) & (np.hypot(x, y) < self.fold), x, y)

    def _radial(self, r2: np.ndarray) -> np.ndarray:
        return polynomial.polyval(r2, self._numerator) / polynomial.polyval(r2, self._denominator)

    def _bent(self, x: np.ndarray, y: np.ndarray) -> Points:
        """Without the tilt."""
        p1, p2, (s1, s2, s3, s4) = self._p1, self._p2, self._prism
        r2, xy = x * x + y * y, 2 * x * y
        radial = self._radial(r2)
        return (
            x * radial + p1 * xy + p2 * (r2 + 2 * x * x) + r2 * (s1 + s2 * r2),
            y * radial + p2 * xy + p1 * (r2 + 2 * y * y) + r2 * (s3 + s4 * r2),
        )

    def _jacobian(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, ...]:
        """Derivatives of both results of `_bent` by x and y: x by x, x by y, y by x, y by y."""
        p1, p2, (s1, s2, s3, s4) = self._p1, self._p2, self._prism
        r2 = x * x + y * y
        radial = self._radial(r2)
        slope = 2 * polynomial.polyval(r2, self._slope) / polynomial.polyval(r2, self._denominator) ** 2
        mixed = slope * x * y + 2 * (p1 * x + p2 * y)
        prism_x, prism_y = 2 * (s1 + 2 * s2 * r2), 2 * (s3 + 2 * s4 * r2)
        return (
            radial + slope * x * x + 2 * p1 * y + 6 * p2 * x + prism_x * x,
            mixed + prism_x * y,
            mixed + prism_y * x,
            radial + slope * y * y + 6 * p1 * y + 2 * p2 * x + prism_y * y,
        )


class EquidistantLens:
    """OpenCV's fisheye, after Kannala and Brandt: the image's radius is a polynomial of the angle."""

    def __init__(self, coefficients: np.ndarray) -> None:
        """k1 k2 k3 k4."""
        self._factor = np.concatenate([[1.0], coefficients])
        """Of the angle, a polynomial in its square."""
        self._slope = self._factor * [1, 3, 5, 7, 9]
        self._limit_rad = min(np.sqrt(_first_zero(self._slope)), np.pi / 2)
        """The plane z = 1 ends at 90 degrees, even where the model goes on."""
        self.fold = np.tan(self._limit_rad) if self._limit_rad < np.pi / 2 else np.inf

    def distort(self, x: np.ndarray, y: np.ndarray) -> Points:
        radius = np.hypot(x, y)
        angle_rad = np.arctan(radius)
        shrink = _ratio(angle_rad * polynomial.polyval(angle_rad**2, self._factor), radius)
        return x * shrink, y * shrink

    def undistort(self, x: np.ndarray, y: np.ndarray) -> Points:
        bent = np.hypot(x, y)
        angles_rad = np.linspace(0, self._limit_rad, TABLE, endpoint=False)
        angle_rad = np.interp(bent, angles_rad * polynomial.polyval(angles_rad**2, self._factor), angles_rad)
        for _ in range(STEPS):
            error = angle_rad * polynomial.polyval(angle_rad**2, self._factor) - bent
            step = error / polynomial.polyval(angle_rad**2, self._slope)
            angle_rad = angle_rad - step
            if not (np.abs(step) > 1e-15).any():
                break
        error = angle_rad * polynomial.polyval(angle_rad**2, self._factor) - bent
        stretch = _ratio(np.tan(angle_rad), bent)
        return _where((np.abs(error) < 1e-12) & (angle_rad < self._limit_rad), x * stretch, y * stretch)


def _first_zero(coefficients: np.ndarray) -> float:
    """The smallest positive t with 1 + c1 t + c2 t^2 + ... = 0; inf where there is none.

    As a polynomial in 1 / t it starts with 1, so that tiny last coefficients do no harm.
    """
    inverses = np.roots(coefficients)
    largest = float(max(inverses.real[(inverses.imag == 0) & (inverses.real > 0)], default=0.0))
    return 1 / largest if largest else np.inf


def _tilt(tau_x_rad: float, tau_y_rad: float) -> np.ndarray:
    """(3, 3): from a sensor at right angles to the optical axis to the tilted one (Scheimpflug)."""
    (sx, sy), (cx, cy) = np.sin([tau_x_rad, tau_y_rad]), np.cos([tau_x_rad, tau_y_rad])
    about_x = np.array([[1, 0, 0], [0, cx, sx], [0, -sx, cx]])
    about_y = np.array([[cy, 0, -sy], [0, 1, 0], [sy, 0, cy]])
    rotation = about_y @ about_x
    project = np.array(
        [[rotation[2, 2], 0, -rotation[0, 2]], [0, rotation[2, 2], -rotation[1, 2]], [0, 0, 1]]
    )
    return project @ rotation


def _mapped(homography: np.ndarray, x: np.ndarray, y: np.ndarray) -> Points:
    if np.array_equal(homography, np.eye(3)):
        return x, y
    u, v, w = homography @ np.stack([x, y, np.ones_like(x)])
    return u / w, v / w


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """1 in the middle of the image, where both are 0."""
    return np.divide(numerator, denominator, out=np.ones_like(denominator), where=denominator != 0)


def _where(valid: np.ndarray, x: np.ndarray, y: np.ndarray) -> Points:
    return np.where(valid, x, np.nan), np.where(valid, y, np.nan)

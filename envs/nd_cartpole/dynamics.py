"""The physics of N-dimensional cart-pole as one pure, batched function.

A cart moves along ``N`` perpendicular axes and a pole hangs upright on it; seen along one axis the system is the
cart-pole of Barto, Sutton and Anderson (1983), and the axes do not influence each other. At each step the cart can be
pushed along one axis only, so the other poles fall freely meanwhile (Wilhelm & Ventura 2025, section 4).
"""

import math

import numpy as np
import numpy.typing as npt

GRAVITY = 9.8  # m/s^2
CART_MASS = 1.0  # kg
POLE_MASS = 0.1  # kg
TOTAL_MASS = CART_MASS + POLE_MASS
POLE_HALF_LENGTH = 0.5  # m
POLE_MASS_LENGTH = POLE_MASS * POLE_HALF_LENGTH
FORCE = 10.0  # N
TIME_STEP = 0.02  # s
POSITION_LIMIT = 2.4  # m
ANGLE_LIMIT = 12 * 2 * math.pi / 360  # rad
RESET_BOUND = 0.05

FloatArray = npt.NDArray[np.float64]


def forces(actions: npt.NDArray[np.integer], n_dims: int) -> FloatArray:
    """
    The force that each action applies along each axis.

    :param actions: integers in ``[0, 2 * n_dims)``, shape ``(...,)``; action ``2 i`` pushes along axis ``i`` with -10 N,
        action ``2 i + 1`` with +10 N
    :param n_dims: number of axes ``N``
    :return: forces in newton, shape ``(..., N)``, zero along all axes but one
    """
    return _FORCES[n_dims][actions] if n_dims in _FORCES else _force_table(n_dims)[actions]


def _force_table(n_dims: int) -> FloatArray:
    table: FloatArray = np.kron(np.eye(n_dims), np.array([[-FORCE], [FORCE]]))
    _FORCES[n_dims] = table
    return table


_FORCES: dict[int, FloatArray] = {}


def step(state: FloatArray, force: FloatArray) -> FloatArray:
    """
    Advance the system by one explicit Euler step of 0.02 s.

    :param state: position (m), velocity (m/s), pole angle (rad) and angular velocity (rad/s) per axis,
        shape ``(..., N, 4)``
    :param force: force on the cart in newton, shape ``(..., N)``
    :return: the next state, shape ``(..., N, 4)``
    """
    x_dot, theta, theta_dot = state[..., 1], state[..., 2], state[..., 3]
    cos, sin = np.cos(theta), np.sin(theta)
    push = (force + POLE_MASS_LENGTH * np.square(theta_dot) * sin) / TOTAL_MASS
    theta_acc = (GRAVITY * sin - cos * push) / (POLE_HALF_LENGTH * (4.0 / 3.0 - POLE_MASS * np.square(cos) / TOTAL_MASS))
    next_state: FloatArray = np.empty_like(state)
    next_state[..., 0] = x_dot
    next_state[..., 1] = push - POLE_MASS_LENGTH * theta_acc * cos / TOTAL_MASS
    next_state[..., 2] = theta_dot
    next_state[..., 3] = theta_acc
    next_state *= TIME_STEP
    next_state += state
    return next_state


_LIMITS = np.array([POSITION_LIMIT, np.inf, ANGLE_LIMIT, np.inf])


def out_of_bounds(state: FloatArray) -> npt.NDArray[np.bool_]:
    """
    Whether the cart or the pole has left its bounds along any axis (2.4 m, 12 degrees).

    :param state: shape ``(..., N, 4)``
    :return: shape ``(...,)``
    """
    result: npt.NDArray[np.bool_] = np.any(np.abs(state) > _LIMITS, axis=(-1, -2))
    return result

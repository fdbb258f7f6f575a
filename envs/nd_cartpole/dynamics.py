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


def forces(n_dims: int) -> FloatArray:
    """
    The force that each action applies along each axis: action ``2 i`` pushes along axis ``i`` with -10 N, action
    ``2 i + 1`` with +10 N, and nothing acts along the other axes.

    :param n_dims: number of axes ``N``
    :return: forces in newton, shape ``(2 N, N)``, a row per action
    """
    table: FloatArray = np.kron(np.eye(n_dims), np.array([[-FORCE], [FORCE]]))
    return table


def step(state: FloatArray, force: FloatArray) -> FloatArray:
    """
    Advance the system by one explicit Euler step of 0.02 s.

    :param state: position (m), velocity (m/s), pole angle (rad) and angular velocity (rad/s) per axis,
        shape ``(..., N, 4)``
    :param force: force on the cart in newton, shape ``(..., N)``
    :return: the next state, shape ``(..., N, 4)``
    """
    # In place: for a few dozen systems, most of the time goes into allocations and calls. The order of the operations is that
    # of Gymnasium's cart-pole, since the pole amplifies any difference of rounding.
    x_dot, theta, theta_dot = state[..., 1], state[..., 2], state[..., 3]
    cos, sin = np.cos(theta), np.sin(theta)
    push = theta_dot * theta_dot
    push *= POLE_MASS_LENGTH
    push *= sin
    push += force
    push /= TOTAL_MASS
    inertia = cos * cos
    inertia *= POLE_MASS
    inertia /= TOTAL_MASS
    inertia = 4.0 / 3.0 - inertia
    inertia *= POLE_HALF_LENGTH
    theta_acc = sin
    theta_acc *= GRAVITY
    theta_acc -= cos * push
    theta_acc /= inertia
    reaction = theta_acc * POLE_MASS_LENGTH
    reaction *= cos
    reaction /= TOTAL_MASS
    push -= reaction
    next_state: FloatArray = np.empty_like(state)
    next_state[..., 0] = x_dot
    next_state[..., 1] = push
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
    beyond = np.abs(state) > _LIMITS
    result: npt.NDArray[np.bool_] = np.logical_or.reduce(beyond.reshape(*state.shape[:-2], -1), axis=-1)
    return result

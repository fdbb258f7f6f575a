"""Drawing N-dimensional cart-pole: a side view per axis and, for two axes, the view from above."""

import math
import os
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from gymnasium.error import DependencyNotInstalled

from nd_cartpole import dynamics

if TYPE_CHECKING:
    from pygame import Surface

PANEL_WIDTH, PANEL_HEIGHT = 360, 240
PANELS_PER_ROW = 3
SCALE = PANEL_WIDTH / (2 * dynamics.POSITION_LIMIT)  # pixels per metre
POLE_LENGTH = 2 * dynamics.POLE_HALF_LENGTH * SCALE
CART_WIDTH, CART_HEIGHT, POLE_WIDTH = 40, 22, 8
WHITE, BLACK, GREY = (255, 255, 255), (20, 20, 20), (200, 200, 200)
AXIS_COLOURS = ((202, 122, 60), (60, 122, 202), (70, 160, 90), (170, 80, 160), (160, 140, 50))


class Renderer:
    """
    Draws states with pygame.

    :param n_dims: number of axes
    :param render_mode: ``"human"`` (a window) or ``"rgb_array"`` (arrays)
    :param fps: frames per second of the window
    :raises DependencyNotInstalled: if pygame is missing
    """

    def __init__(self, n_dims: int, render_mode: str, fps: int) -> None:
        try:
            import pygame
        except ImportError as error:
            raise DependencyNotInstalled('pygame is not installed, run `pip install "sb3-distill[render]"`') from error
        self._pygame = pygame
        self.n_dims = n_dims
        self.fps = fps
        n_panels = n_dims + (n_dims == 2)
        self._columns = min(n_panels, PANELS_PER_ROW)
        size = (self._columns * PANEL_WIDTH, math.ceil(n_panels / PANELS_PER_ROW) * PANEL_HEIGHT)
        self._canvas = pygame.Surface(size)
        self._window: Surface | None = None
        if render_mode == "human":
            os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
            pygame.display.init()
            self._window = pygame.display.set_mode(size)
            self._clock = pygame.time.Clock()

    def draw(self, state: dynamics.FloatArray) -> npt.NDArray[np.uint8] | None:
        """
        :param state: shape ``(N, 4)``
        :return: a frame of shape ``(H, W, 3)``, or ``None`` when drawn to a window
        """
        self._canvas.fill(WHITE)
        for axis in range(self.n_dims):
            self._draw_side(self._panel(axis), axis, position=state[axis, 0], angle=state[axis, 2])
        if self.n_dims == 2:
            self._draw_top(self._panel(2), position=state[:, 0], angle=state[:, 2])
        if self._window is not None:
            self._window.blit(self._canvas, (0, 0))
            self._pygame.event.pump()
            self._pygame.display.flip()
            self._clock.tick(self.fps)
            return None
        return np.ascontiguousarray(self._pygame.surfarray.array3d(self._canvas).swapaxes(0, 1))

    def close(self) -> None:
        """Close the window, if there is one."""
        if self._window is not None:
            self._pygame.display.quit()
            self._window = None

    def _panel(self, index: int) -> "Surface":
        row, column = divmod(index, PANELS_PER_ROW)
        corner = (column * PANEL_WIDTH, row * PANEL_HEIGHT)
        panel = self._canvas.subsurface(self._pygame.Rect(corner, (PANEL_WIDTH, PANEL_HEIGHT)))
        self._pygame.draw.rect(panel, GREY, panel.get_rect(), 1)
        return panel

    def _draw_side(self, panel: "Surface", axis: int, position: float, angle: float) -> None:
        draw, colour = self._pygame.draw, AXIS_COLOURS[axis % len(AXIS_COLOURS)]
        x, y = PANEL_WIDTH / 2 + position * SCALE, 0.75 * PANEL_HEIGHT
        draw.line(panel, BLACK, (0, y), (PANEL_WIDTH, y), 1)
        draw.rect(panel, BLACK, self._pygame.Rect(x - CART_WIDTH / 2, y - CART_HEIGHT / 2, CART_WIDTH, CART_HEIGHT))
        tip = (x + POLE_LENGTH * math.sin(angle), y - POLE_LENGTH * math.cos(angle))
        draw.line(panel, colour, (x, y), tip, POLE_WIDTH)
        draw.circle(panel, colour, (x, y), POLE_WIDTH / 2)

    def _draw_top(self, panel: "Surface", position: dynamics.FloatArray, angle: dynamics.FloatArray) -> None:
        # The pole seen from above is short, so its lean is drawn three times as long as it is.
        draw, scale = self._pygame.draw, SCALE * PANEL_HEIGHT / PANEL_WIDTH
        middle = np.array([PANEL_WIDTH, PANEL_HEIGHT]) / 2
        up = np.array([1, -1])
        cart = middle + up * position * scale
        tip = cart + 3 * up * np.sin(angle) * POLE_LENGTH * PANEL_HEIGHT / PANEL_WIDTH
        draw.line(panel, AXIS_COLOURS[0], (0, cart[1]), (PANEL_WIDTH, cart[1]), 1)
        draw.line(panel, AXIS_COLOURS[1], (cart[0], 0), (cart[0], PANEL_HEIGHT), 1)
        draw.rect(panel, BLACK, self._pygame.Rect(cart - CART_HEIGHT / 2, (CART_HEIGHT, CART_HEIGHT)))
        draw.line(panel, (129, 132, 203), cart, tip, POLE_WIDTH)
        draw.circle(panel, (129, 132, 203), tip, POLE_WIDTH)

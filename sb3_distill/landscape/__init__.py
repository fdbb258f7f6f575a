"""
What a distilled batch does to a network: the real and the distilled objective along lines and on planes of parameters.

``maths`` has pure functions; ``points`` and ``training`` make the networks, ``play`` lets them act, ``landscape`` draws planes
and lines through them, ``figures`` compares with controls, ``report`` and ``result`` hold what was measured.
"""

from sb3_distill.landscape.landscape import Landscape
from sb3_distill.landscape.report import LandscapeReport
from sb3_distill.landscape.result import Barrier, Ray, Spectrum, Surface
from sb3_distill.landscape.study import landscape_report

__all__ = ["Barrier", "Landscape", "LandscapeReport", "Ray", "Spectrum", "Surface", "landscape_report"]

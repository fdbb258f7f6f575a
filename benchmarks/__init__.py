"""
Benchmarks, with the package of the checkout that they lie in: see README.md.

Every script puts the repository on ``sys.path`` before anything else, and imports from here by full names.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "envs"))  # so that `nd_cartpole` is of this checkout too

"""``python -m sb3_distill``: the command line."""

import sys

from sb3_distill.cli.__main__ import main

if __name__ == "__main__":
    sys.exit(main())

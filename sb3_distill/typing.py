"""Types that several rooms speak of."""

from typing import Any

Json = dict[str, Any]

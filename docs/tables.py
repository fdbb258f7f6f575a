"""Write the rows of settings in ``hyperparameters.md`` from the settings themselves: ``python docs/tables.py``."""

import dataclasses
import json
import re
from pathlib import Path

from sb3_distill.outer_loop.settings import Settings

PAGE = Path(__file__).with_name("hyperparameters.md")


def row(field: "dataclasses.Field[object]") -> str:
    """The line of the table for one setting."""
    default = json.dumps(field.default) if isinstance(field.default, str) else repr(field.default)
    return f"| `{field.name}` | `{default}` | {field.metadata['text']}. Values: {field.metadata['values']} |"


def main() -> None:
    text = PAGE.read_text()
    for field in dataclasses.fields(Settings):
        text, n = re.subn(rf"^\| `{field.name}` \|.*$", lambda _, field=field: row(field), text, flags=re.MULTILINE)
        assert n == 1, f"{PAGE.name} must have one row for {field.name}"
    PAGE.write_text(text)


if __name__ == "__main__":
    main()

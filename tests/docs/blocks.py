"""
Code blocks of README and documentation.

The Python blocks of a page run in their order and in one namespace, as a reader would type them into one session, in an empty
folder that holds what earlier pages make (see ``test_code_blocks.py``). An HTML comment in the line above a block says what
the block needs beside the package: ``<!-- needs: ale_py, envpool -->`` names modules, without which the block is left out.
"""

import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


class Block(NamedTuple):
    """One block of a page."""

    page: Path
    line: int
    language: str
    text: str
    needs: tuple[str, ...]


def blocks_of(page, language):
    """The blocks of a page in a language."""
    text = page.read_text()
    found = []
    for match in re.finditer(r"(?:^<!-- needs: ([\w, ]+) -->\n+)?^```(\w+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        if match[2] == language:
            needs = tuple(re.findall(r"\w+", match[1] or ""))
            line = text.count("\n", 0, match.start(3)) + 1
            found.append(Block(page, line, language, match[3], needs))
    return found


def lines_of_shell(page):
    """Commands of the shell blocks of a page, with continued lines joined and comments left out."""
    for block in blocks_of(page, "bash"):
        for line in block.text.replace("\\\n", " ").splitlines():
            command = re.sub(r"\s#\s.*$|^#.*$", "", line).strip()
            if command:
                yield command

"""Prints the JSON fields of Sources/Wire/Answers.swift that docs/reference/http.md does not name."""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent


def main() -> int:
    properties = re.findall(r"public var (\w+)", (ROOT / "Sources/Wire/Answers.swift").read_text())
    page = (ROOT / "docs/reference/http.md").read_text()
    fields = {re.sub(r"[A-Z]", lambda letter: "_" + letter[0].lower(), name) for name in properties}
    absent = sorted(field for field in fields if not re.search(rf"\b{field}\b", page))
    for field in absent:
        print(f"{field} is not in docs/reference/http.md")
    return 1 if absent else 0


if __name__ == "__main__":
    sys.exit(main())

"""Prints the JSON fields of Sources/Wire/Answers that docs/reference/http.md does not name."""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent


def main() -> int:
    answers = sorted((ROOT / "Sources/Wire/Answers").glob("*.swift"))
    properties = {name for file in answers for name in re.findall(r"public var (\w+)", file.read_text())}
    page = (ROOT / "docs/reference/http.md").read_text()
    fields = {re.sub(r"[A-Z]", lambda letter: "_" + letter[0].lower(), name) for name in properties}
    absent = sorted(field for field in fields if not re.search(rf"\b{field}\b", page))
    for field in absent:
        print(f"{field} is not in docs/reference/http.md")
    return 1 if absent else 0


if __name__ == "__main__":
    sys.exit(main())

"""What the examples share: `EXAMPLE make FOLDER` writes a model, `EXAMPLE serve FOLDER` answers one request a line.

An answer is printed as the SHA-256 of its bytes, so that two can be compared to the last bit.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable
from pathlib import Path


def main(make: Callable[[Path], None], serve: Callable[[Path], Callable[[int], bytes]]) -> None:
    """make: writes the model into a folder. serve: given the folder, returns what answers the request of a number."""
    if len(sys.argv) != 3 or sys.argv[1] not in ("make", "serve"):
        raise SystemExit(f"usage: {sys.argv[0]} make|serve FOLDER")
    folder = Path(sys.argv[2])
    if sys.argv[1] == "make":
        make(folder)
        return
    answer = serve(folder)
    for line in sys.stdin:
        print(hashlib.sha256(answer(int(line))).hexdigest(), flush=True)

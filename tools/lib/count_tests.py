"""Counts `swift test --xunit-output FILE`: prints "PASSED FAILED SKIPPED" summed over the files given.

XCTest's tests are in FILE, Swift Testing's in FILE with -swift-testing before the extension; either may be absent.
"""

from __future__ import annotations

import sys
from pathlib import Path
from xml.etree import ElementTree


def main() -> None:
    passed = failed = skipped = 0
    for path in map(Path, sys.argv[1:]):
        if not path.exists():
            continue
        for case in ElementTree.parse(path).iter("testcase"):
            if case.find("failure") is not None or case.find("error") is not None:
                failed += 1
            elif case.find("skipped") is not None:
                skipped += 1
            else:
                passed += 1
    print(passed, failed, skipped)


if __name__ == "__main__":
    main()

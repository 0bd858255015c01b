"""Reads the two kinds of JUnit XML met here: pytest's and that of CPython's regrtest."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

from compare import Outcomes

ADDRESS = re.compile(r"\b0x[0-9a-f]{6,}")


def outcomes(path: Path) -> Outcomes:
    """Empty when there is no report: the run ended early."""
    try:
        tree = ElementTree.parse(path)
    except (OSError, ElementTree.ParseError):
        return {}
    found: Outcomes = {}
    for case in tree.iter("testcase"):
        name = case.get("name")
        # regrtest leaves a test that failed in a subtest without a name; its exit status tells of the failure.
        if not name:
            continue
        kind = case.get("classname")
        # Parameters may print as an object's address.
        identity = ADDRESS.sub("0x", f"{kind}::{name}" if kind else name)
        number = 1
        while (unique := identity if number == 1 else f"{identity} #{number}") in found:
            number += 1
        found[unique] = outcome(case)
    return found


def outcome(case: ElementTree.Element) -> str:
    children = {child.tag for child in case}
    for tag, word in (("error", "error"), ("failure", "failed"), ("skipped", "skipped")):
        if tag in children:
            return word
    return "failed by an unexpected success" if case.get("outcome") == "UNEXPECTED_SUCCESS" else "passed"

"""Prints the lines where a test lets time pass instead of awaiting an event: sleeps, in disguise or not.

    git ls-files Tests | python3 check_no_sleep.py

Disguises: a poll or select on nothing, or with a limit under a second; an event nobody sets; a loop that only asks; and
the standard library's Popen.wait, communicate and run with a limit, which look again every few milliseconds (waiting.py
blocks instead). A program under test that must idle says why on the line: `sleeps: ...`. Lines known and not mended yet
are in pauses.txt beside this file: path, the line, reason, with tabs between.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

EXEMPT = "sleeps: "
KNOWN = Path(__file__).with_name("pauses.txt")
Finding = tuple[int, str]

SHELL = [
    (r"(^|[;&|({\"'`]|\b(do|then|else|exec|command)\b)\s*sleep\s+[\"$0-9.]", "sleep"),
    (r"\bread\b[^|;&]*\s-\w*t\b", "read with a limit"),
    (r"\btimeout\s+\S+\s+(cat|tail|read|sleep)\b", "timeout around something that does not end"),
    (r"\btail\b.*(\s-s\b|--sleep-interval|--pid)", "tail looks again at intervals"),
    (r"\b(until|while)\b.*\bdo\s*(:|true|continue)\s*;?\s*done", "loop that only asks"),
]
C_LIKE = [
    (r"\b(u|nano|clock_nano)?(sleep|sleep_for|sleep_until)\s*\(", "sleep"),
    (r"\bp?poll\s*\(\s*(NULL|nullptr|nil|0)\s*,", "poll on nothing"),
    (r"\bp?select\s*\(\s*0\s*,", "select on nothing"),
    # Not the end of a do-while, and not one whose condition blocks.
    (r"^(?!.*\}\s*while).*\bwhile\s*\((?!.*\b(read|recv|accept|wait\w*)\s*\().*\)\s*(;|\{\s*\})\s*(//.*|/\*.*)?$",
     "loop that only asks"),
    (r"\b(sched_yield|pthread_yield)\s*\(", "yield: a loop that only asks"),
]
SWIFT = [
    (r"\bTask\.yield\s*\(", "yield: a loop that only asks"),
    (r"\.wait\s*\(\s*timeout:", "wait with a limit"),
    (r"\bRunLoop\b", "run loop"),
]
# Also what stands in the strings of a Python file: programs it starts.
PYTHON_TEXT = [(r"\bsleep\s*\(", "sleep"), (r"[\"']sleep[\"']\s*,", "sleep"), *SHELL[:1]]
LIMITED = {"run", "call", "check_call", "check_output", "communicate"}
BLOCKING = re.compile(r"^(read|recv|accept|get|wait|await|take|next|line)")


def called(node: ast.AST) -> str:
    """The last name of what is called: `poll` for `select.poll()`."""
    if not isinstance(node, ast.Call):
        return ""
    return getattr(node.func, "attr", getattr(node.func, "id", ""))


def limit_of(node: ast.Call) -> ast.expr | None:
    """The first argument or the one named timeout; None when absent or the literal None."""
    given = [*node.args, *(keyword.value for keyword in node.keywords if keyword.arg == "timeout")]
    return given[-1] if given and not (isinstance(given[-1], ast.Constant) and given[-1].value is None) else None


def is_short(node: ast.expr | None) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, (int, float)) and 0 < node.value < 1


def is_nothing(node: ast.expr) -> bool:
    return isinstance(node, (ast.List, ast.Tuple, ast.Set)) and not node.elts


def names_given(tree: ast.AST, makers: set[str]) -> set[str]:
    """Names, also attributes, that are assigned something made by one of the makers."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.Assign, ast.AnnAssign)) and called(node.value) in makers:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found |= {ast.unparse(target) for target in targets}
        elif isinstance(node, ast.withitem) and called(node.context_expr) in makers and node.optional_vars:
            found.add(ast.unparse(node.optional_vars))
    return found


def methods_called(tree: ast.AST) -> set[tuple[str, str]]:
    calls = (node.func for node in ast.walk(tree) if isinstance(node, ast.Call))
    return {(ast.unparse(function.value), function.attr) for function in calls if isinstance(function, ast.Attribute)}


def python(text: str, path: str = "text") -> Iterator[Finding]:
    tree = ast.parse(text, path)
    methods = methods_called(tree)
    pollers = names_given(tree, {"poll", "epoll", "DefaultSelector", "PollSelector", "EpollSelector"})
    # Somebody lets those that wait go on, in this file.
    releases = ("set", "notify", "notify_all", "release")
    released = {
        name for name in names_given(tree, {"Event", "Condition", "Semaphore"})
        if any((name, method) in methods for method in releases)} | names_given(tree, {"Barrier"})
    for node in ast.walk(tree):
        if isinstance(node, ast.While) and all(isinstance(step, (ast.Pass, ast.Continue)) for step in node.body):
            if not any(BLOCKING.match(called(part)) for part in ast.walk(node.test)):
                yield node.lineno, "loop that only asks"
        if not isinstance(node, ast.Call):
            continue
        name, receiver = called(node), ast.unparse(node.func.value) if isinstance(node.func, ast.Attribute) else ""
        if name in ("select", "pselect") and len(node.args) >= 3:
            if all(map(is_nothing, node.args[:3])):
                yield node.lineno, "select on nothing"
            elif len(node.args) > 3 and is_short(node.args[3]):
                yield node.lineno, "select for less than a second"
        elif name in ("poll", "select"):
            nothing = receiver in pollers and (receiver, "register") not in methods
            if nothing or re.search(r"\be?poll\(\)$", receiver):
                yield node.lineno, "poll on nothing"
            elif is_short(limit_of(node)):
                yield node.lineno, "poll for less than a second"
        elif name == "sigtimedwait" and node.args and is_nothing(node.args[0]):
            yield node.lineno, "sigtimedwait for nothing"
        elif name == "wait" and limit_of(node) is not None and receiver not in released:
            yield node.lineno, "wait with a limit: Popen.wait looks again at intervals, an event nobody sets is a pause"
        elif name in LIMITED and any(keyword.arg == "timeout" for keyword in node.keywords):
            yield node.lineno, f"{name} with a limit looks again at intervals"
        elif name == "sched_yield":
            yield node.lineno, "yield: a loop that only asks"


def findings(path: str, text: str) -> Iterator[Finding]:
    """Line number and what is wrong, by the kind of file."""
    first = text.partition("\n")[0]
    patterns: list[tuple[str, str]] = []
    if path.endswith(".py") or re.match(r"#!.*python", first):
        patterns = PYTHON_TEXT
        yield from python(text, path)
    elif path.endswith(".swift"):
        patterns = C_LIKE + SWIFT
    elif path.endswith((".c", ".cpp", ".h")):
        patterns = C_LIKE
    elif path.endswith(".sh") or re.match(r"#!.*\b(ba)?sh\b", first):
        patterns = SHELL
    for number, line in enumerate(text.splitlines(), 1):
        for pattern, what in patterns:
            if re.search(pattern, line):
                yield number, what


def main() -> int:
    known = set()
    for line in KNOWN.read_text().splitlines() if KNOWN.exists() else []:
        path, source, _ = line.split("\t")
        known.add((path, source))
    wrong = False
    for path in sys.stdin.read().splitlines():
        try:
            text = Path(path).read_text()
        except UnicodeDecodeError:
            continue
        lines = text.splitlines()
        for number, what in sorted(set(findings(path, text))):
            line = lines[number - 1].strip()
            if EXEMPT not in line and (path, line) not in known:
                print(f"{path}:{number}: {what}: {line}")
                wrong = True
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

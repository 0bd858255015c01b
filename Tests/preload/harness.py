"""Building fixtures, running programs with and without the agent, and saying how it went."""

import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(ROOT, "tools", "lib"))

import waiting  # noqa: E402

BUILD = os.path.join(ROOT, "build", "preload-tests")
HEADERS = os.path.join(ROOT, "CInterpose", "include")
FIXTURES = os.path.join(HERE, "fixtures")
AGENT = os.environ.get("MLOS_AGENT", os.path.join(ROOT, "build", "libmlosagent.so"))

# Longer than anything here takes on a loaded machine; a case that needs it has hung.
HANG_SECONDS = 120

_cases = []


class Skip(Exception):
    """A case that cannot run here; the text says why."""


class Failure(Exception):
    pass


def case(function):
    """Registers a function as a test; its name says the behaviour."""
    _cases.append(function)
    return function


def check(condition, text):
    if not condition:
        raise Failure(text)


def equal(got, expected, text):
    if got != expected:
        raise Failure(f"{text}: got {got!r}, expected {expected!r}")


def compile_fixture(source, *flags, output=None, compiler="cc", libraries=()):
    """Compiles FIXTURES/source once for these flags and returns the path."""
    os.makedirs(BUILD, exist_ok=True)
    name = output or os.path.splitext(source)[0]
    target = os.path.join(BUILD, name)
    os.makedirs(os.path.dirname(target), exist_ok=True)
    command = [compiler, "-g", "-Wall", "-Werror", "-I", HEADERS, *flags, os.path.join(FIXTURES, source), "-o", target, *libraries]
    done = subprocess.run(command, capture_output=True, text=True)
    check(done.returncode == 0, f"{' '.join(command)}: {done.stderr}")
    return target


def environment(preload=(), **variables):
    """The caller's environment without anything of ours, then these."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("MLOS_", "LD_"))}
    # No supervisor unless the case names one.
    clean["MLOS_SOCKET"] = "/nonexistent/mlos.sock"
    if preload:
        clean["LD_PRELOAD"] = ":".join(preload)
    clean.update({k: v for k, v in variables.items() if v is not None})
    return clean


def run(command, preload=(), cwd=None, stdin=None, **variables):
    """Runs to the end: (exit status, stdout, stderr)."""
    done = waiting.run(
        command, HANG_SECONDS, env=environment(preload, **variables), cwd=cwd or BUILD, input=stdin or b"")
    return done.returncode, done.stdout, done.stderr


def same_with_agent(command, text=None, **keywords):
    """The program's output and status must not depend on the agent."""
    without = run(command, **keywords)
    with_agent = run(command, preload=(AGENT,), **keywords)
    equal(with_agent, without, text or " ".join(command))
    return without


def start(command, preload=(AGENT,), **variables):
    """A program that talks over pipes; the caller ends it."""
    return subprocess.Popen(
        command, env=environment(preload, **variables), cwd=BUILD,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def finish(process):
    """The exit status of a program from `start`."""
    return waiting.finish(process, HANG_SECONDS)


def temporary_directory():
    return tempfile.TemporaryDirectory(prefix="mlos-preload-")


def main(wanted):
    if not os.path.exists(AGENT):
        print(f"no agent at {AGENT}: swift build -c release --product mlosagent", file=sys.stderr)
        return 2
    os.makedirs(BUILD, exist_ok=True)
    passed = failed = 0
    for function in _cases:
        name = function.__name__
        if wanted and not any(part in name for part in wanted):
            continue
        try:
            function()
        except Skip as reason:
            print(f"SKIP {name}: {reason}", flush=True)
        except Exception as error:  # a case's own mistake must not hide the cases after it
            failed += 1
            print(f"FAIL {name}: {type(error).__name__}: {error}", flush=True)
        else:
            passed += 1
            print(f"PASS {name}", flush=True)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0

"""CPython's own tests by regrtest, and those of numpy, scipy and scikit-learn by pytest."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import install
import junit
from compare import Outcomes
from running import Place, Unit
from session import Suite

Say = Callable[[str], None]
Skip = Callable[[str, str], None]

# No test that needs the network: regrtest leaves those out unless it is told `-u network`.
CPYTHON = """test_asyncio test_multiprocessing_fork test_subprocess test_signal test_socket test_threading test_ssl
    test_importlib test_os test_ctypes test_import test_gc test_fork1 test_mmap test_resource test_posix test_threadsignals
    test_capi test_faulthandler test_sys""".split()
# What takes seconds and says most: module, and classes of it where not all.
CPYTHON_SHORT = {
    "test_ctypes": "",
    "test_import": "",
    "test_os": "",
    "test_gc": "",
    "test_fork1": "",
    "test_threading": "ThreadTests ThreadJoinOnShutdown SubinterpThreadingTests ThreadingExceptionTests",
    "test_signal": "PosixTests WakeupFDTests WakeupSignalTests PendingSignalsTests RaiseSignalTest PidfdSignalTest",
}
# In a virtual machine these wait for a connection from the host: vsock leaves the machine.
LEFT_OUT = {"test_socket": ["*VSOCK*"]}
# What grows with the allocator: big tables, many small blocks, reallocation.
ALLOCATOR_HEAVY = "test_gc test_dict test_list test_set test_array test_ctypes".split()
MODULE_LIMIT_S = 300.0
PYTEST_LIMIT_S = 600.0

# The tests marked slow are left out, as numpy.test() and scipy.test() do.
NUMPY = "numpy._core numpy.lib numpy.random numpy.ma numpy.linalg numpy.fft".split()
NUMPY_SHORT = """numpy.linalg.tests.test_linalg numpy._core.tests.test_multithreading numpy._core.tests.test_dlpack
    numpy._core.tests.test_array_coercion numpy.random.tests.test_generator_mt19937_regressions""".split()
SCIPY = "scipy.fft scipy.spatial scipy.ndimage scipy.integrate scipy.interpolate".split()
SCIKIT_LEARN = """sklearn.tree sklearn.svm sklearn.ensemble.tests.test_forest sklearn.linear_model.tests.test_logistic
    sklearn.cluster.tests.test_k_means""".split()


def regrtest(python: str, module: str, classes: str = "", **options: object) -> Unit:
    def command(place: Place) -> list[str]:
        filters = [part for wanted in classes.split() for part in ("-m", wanted)]
        filters += [part for unwanted in LEFT_OUT.get(module, []) for part in ("-i", unwanted)]
        return [
            *(python, "-m", "test", "--junit-xml", str(place.report), "--tempdir", str(place.folder / "t"), "-W"),
            *(*filters, module),
        ]

    def read(place: Place, _status: int, _text: str) -> Outcomes:
        return junit.outcomes(place.report)

    return Unit(module, command, read, limit_s=MODULE_LIMIT_S, **options)  # type: ignore[arg-type]


def has_module(python: str, module: str) -> bool:
    """Whether that Python was installed with this part of its tests."""
    program = "import importlib.util, sys; sys.exit(importlib.util.find_spec('test.' + sys.argv[1]) is None)"
    return subprocess.run([python, "-c", program, module], capture_output=True).returncode == 0


def version_of(python: str) -> str:
    program = "import platform; print(platform.python_version())"
    return subprocess.run([python, "-c", program], capture_output=True, text=True).stdout.strip()


def other_pythons() -> Iterator[str]:
    """Other versions than the one in PATH, best first: the newest of pyenv's, and Debian's."""
    versions = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"

    def number(folder: Path) -> list[int]:
        return [int(part) for part in folder.name.split(".")]

    known = [folder for folder in versions.glob("3.*") if all(part.isdigit() for part in folder.name.split("."))]
    for folder in sorted((f for f in known if number(f) >= [3, 8]), key=number, reverse=True)[:1]:
        yield str(folder / "bin/python3")
    yield "/usr/bin/python3"


def cpython(is_full: bool, say: Say, skip: Skip) -> Iterator[Suite]:
    first = install.base_python()
    pythons = [first]
    if is_full:
        pythons += [python for python in other_pythons() if os.path.realpath(python) != os.path.realpath(first)][:1]
    seen: set[str] = set()
    for python in pythons:
        version = version_of(python)
        if not version or version in seen:
            continue
        seen.add(version)
        if os.path.realpath(python).startswith("/usr/bin/"):
            reason = install.debian([f"libpython{'.'.join(version.split('.')[:2])}-testsuite"], say)
            if reason:
                skip(f"cpython {version}", reason)
                continue
        wanted = dict.fromkeys(CPYTHON, "") if is_full else CPYTHON_SHORT
        units = [regrtest(python, module, classes) for module, classes in wanted.items() if has_module(python, module)]
        absent = sorted(set(wanted) - {unit.name for unit in units})
        if absent:
            skip(f"cpython {version}: {', '.join(absent)}", "not among the tests this Python was installed with")
        if units:
            yield Suite("cpython", "cpython", version, units)


def pytest_unit(part: str) -> Unit:
    def command(place: Place) -> list[str]:
        return [
            *(str(install.VENV / "bin/python"), "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "not slow"),
            *("--hypothesis-seed=0", "--rootdir", str(place.work), "--junitxml", str(place.report), "--pyargs", part),
        ]

    return Unit(part, command, lambda place, *_: junit.outcomes(place.report), limit_s=PYTEST_LIMIT_S)


def by_pytest(group: str, package: str, parts: list[str], say: Say, skip: Skip, *more: str) -> Iterator[Suite]:
    reason = install.python_packages(["numpy", "pytest", "hypothesis", *more], say)
    if reason:
        skip(group, reason)
        return
    yield Suite(
        group,
        group,
        f"{install.pinned(package)}, Python {sys.version.split()[0]}",
        [pytest_unit(part) for part in parts],
    )


def numpy(is_full: bool, say: Say, skip: Skip) -> Iterator[Suite]:
    yield from by_pytest("numpy", "numpy", NUMPY if is_full else NUMPY_SHORT, say, skip)


def scipy(_: bool, say: Say, skip: Skip) -> Iterator[Suite]:
    yield from by_pytest("scipy", "scipy", SCIPY, say, skip, "scipy")


def scikit_learn(_: bool, say: Say, skip: Skip) -> Iterator[Suite]:
    yield from by_pytest("scikit-learn", "scikit-learn", SCIKIT_LEARN, say, skip, "scipy", "scikit-learn")

"""What the suites need: Debian packages, and Python packages in an environment under build/."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
VENV = ROOT / "build/conformance/venv"
REQUIREMENTS = HERE / "requirements.txt"
# torch from PyPI with the CUDA packages it asks for, unpacked, and pip's own copy; a CPU wheel takes a tenth.
TORCH_BYTES = 12 << 30
PIP_SECONDS = 900


def base_python() -> str:
    """The interpreter in PATH itself where that one is a virtual environment's: only it has its own tests."""
    return str(Path(getattr(sys, "_base_executable", None) or sys.executable).resolve())


def missing_debian_packages(names: list[str]) -> list[str]:
    def is_installed(name: str) -> bool:
        done = subprocess.run(["dpkg-query", "-W", "-f", "${db:Status-Status}", name], capture_output=True, text=True)
        return done.stdout == "installed"

    return [name for name in names if not is_installed(name)]


def debian(names: list[str], say: Callable[[str], None]) -> str | None:
    """Installs as root what is missing; otherwise the reason why the suite cannot run."""
    if not shutil.which("dpkg-query"):
        return f"not a Debian system; needs what these packages hold: {' '.join(names)}"
    missing = missing_debian_packages(names)
    if not missing:
        return None
    if os.geteuid() != 0:
        return f"needs Debian packages: sudo apt-get install --yes --no-install-recommends {' '.join(missing)}"
    say(f"Installing Debian packages: {' '.join(missing)}")
    script = 'source tools/lib/common.sh; need_packages "$@"'
    done = subprocess.run(["bash", "-c", script, "conformance", *missing], cwd=ROOT, capture_output=True, text=True)
    return None if done.returncode == 0 else f"apt-get could not install {' '.join(missing)}: {last_line(done.stderr)}"


def pinned(name: str) -> str:
    """The version requirements.txt gives for a package."""
    for line in REQUIREMENTS.read_text().splitlines():
        package, _, version = line.partition("==")
        if package == name:
            return version
    raise KeyError(name)


def python_packages(names: list[str], say: Callable[[str], None], *options: str) -> str | None:
    """Installs these into the environment, all pinned by requirements.txt; or the reason why that failed."""
    if sys.version_info < (3, 11):
        return f"the pinned Python packages need Python 3.11 or newer, this is {sys.version.split()[0]}"
    python = VENV / "bin/python"
    if not python.exists() or version_of(python) != version_of(Path(base_python())):
        shutil.rmtree(VENV, ignore_errors=True)
        done = subprocess.run([base_python(), "-m", "venv", str(VENV)], capture_output=True, text=True)
        if done.returncode != 0:
            return f"python3 -m venv failed: {last_line(done.stdout + done.stderr)}"
    wanted = [name for name in names if not is_installed(name)]
    if not wanted:
        return None
    if "torch" in names and shutil.disk_usage(VENV).free < TORCH_BYTES:
        return f"torch needs {TORCH_BYTES >> 30} GiB of disk"
    say(f"Installing Python packages into {VENV.relative_to(ROOT)}: {' '.join(wanted)}")
    command = [
        str(python),
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--constraint",
        str(REQUIREMENTS),
    ]
    try:
        done = subprocess.run(
            [*command, *options, *wanted], capture_output=True, text=True, timeout=PIP_SECONDS, env=pip_environment()
        )
    except subprocess.TimeoutExpired:
        return f"pip install {' '.join(wanted)} was not done within {PIP_SECONDS} s"
    return None if done.returncode == 0 else f"pip install {' '.join(wanted)} failed: {last_line(done.stderr)}"


def pip_environment() -> dict[str, str]:
    return {
        name: value for name, value in os.environ.items() if name not in ("LD_PRELOAD", "PYTHONPATH", "VIRTUAL_ENV")
    }


def version_of(python: Path) -> str:
    done = subprocess.run([python, "-c", "import sys; print(sys.version)"], capture_output=True, text=True)
    return done.stdout.strip()


def is_installed(name: str) -> bool:
    """By the name and version of the folder pip leaves, so that nothing is started to find out."""
    version = pinned(name)
    stem = name.replace("-", "_")
    return any(VENV.glob(f"lib/python3*/site-packages/{stem}-{version}*.dist-info"))


def last_line(text: str) -> str:
    lines = [line for line in text.strip().splitlines() if line.strip()]
    return lines[-1].strip()[:300] if lines else "no message"

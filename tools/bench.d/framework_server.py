"""One idle model server: loads a framework and a model, answers a line by the digest of its answer and the milliseconds it
took, and waits for the next one as socketserver does: with a timeout of half a second, so that its interpreter runs now and then.

usage: framework_server.py FRAMEWORK MODELS
"""

from __future__ import annotations

import hashlib
import os
import select
import sys
import time
from collections.abc import Callable

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
    os.environ[variable] = "1"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["CUDA_VISIBLE_DEVICES"] = ""

import numpy as np  # noqa: E402

RANDOM = np.random.default_rng(7)
# Layers of a perceptron: 2048 x 2048 weights of four bytes, four times 16 MiB.
WIDTH, LAYERS = 2048, 4


def weights() -> list[np.ndarray]:
    return [(RANDOM.standard_normal((WIDTH, WIDTH)) / 45).astype(np.float32) for _ in range(LAYERS)]


def onnxruntime(models: str) -> Callable[[], bytes]:
    import onnxruntime as library

    options = library.SessionOptions()
    options.intra_op_num_threads = 1
    session = library.InferenceSession(os.path.join(models, "classifier.onnx"), options, providers=["CPUExecutionProvider"])
    given = session.get_inputs()[0]
    shape = [size if isinstance(size, int) else 1 for size in given.shape]
    image = RANDOM.standard_normal(shape).astype(np.float32)
    return lambda: session.run(None, {given.name: image})[0].tobytes()


def sklearn(_: str) -> Callable[[], bytes]:
    from sklearn.ensemble import RandomForestClassifier

    rows = RANDOM.standard_normal((4000, 40))
    model = RandomForestClassifier(120, random_state=1).fit(rows, rows[:, 0] + rows[:, 1] > 0)
    return lambda: model.predict_proba(rows[:20]).tobytes()


def xgboost(_: str) -> Callable[[], bytes]:
    import xgboost as library

    rows = RANDOM.standard_normal((4000, 40)).astype(np.float32)
    data = library.DMatrix(rows, label=rows[:, 0] > 0)
    model = library.train({"max_depth": 8, "nthread": 1, "seed": 1}, data, num_boost_round=150)
    return lambda: model.predict(library.DMatrix(rows[:20])).tobytes()


def torch(_: str) -> Callable[[], bytes]:
    import torch as library

    library.set_num_threads(1)
    layers = [library.nn.Linear(WIDTH, WIDTH) for _ in range(LAYERS)]
    with library.no_grad():
        for layer, matrix in zip(layers, weights()):
            layer.weight.copy_(library.from_numpy(matrix))
            layer.bias.zero_()
    model = library.nn.Sequential(*[part for layer in layers for part in (layer, library.nn.ReLU())])
    row = library.from_numpy(RANDOM.standard_normal((1, WIDTH)).astype(np.float32))

    def answer() -> bytes:
        with library.no_grad():
            return model(row).numpy().tobytes()
    return answer


def tensorflow(_: str) -> Callable[[], bytes]:
    import tensorflow as library

    matrices = [library.Variable(matrix) for matrix in weights()]
    row = library.constant(RANDOM.standard_normal((1, WIDTH)).astype(np.float32))

    @library.function
    def model(values):  # noqa: ANN001, ANN202
        for matrix in matrices:
            values = library.nn.relu(values @ matrix)
        return values
    return lambda: model(row).numpy().tobytes()


def jax(_: str) -> Callable[[], bytes]:
    import jax as library
    import jax.numpy as numbers

    matrices = [numbers.asarray(matrix) for matrix in weights()]
    row = RANDOM.standard_normal((1, WIDTH)).astype(np.float32)

    @library.jit
    def model(values):  # noqa: ANN001, ANN202
        for matrix in matrices:
            values = numbers.maximum(values @ matrix, 0)
        return values
    return lambda: np.asarray(model(row)).tobytes()


FRAMEWORKS = {"onnxruntime": onnxruntime, "sklearn": sklearn, "xgboost": xgboost, "torch": torch, "tensorflow": tensorflow, "jax": jax}


def main() -> None:
    answer = FRAMEWORKS[sys.argv[1]](sys.argv[2])
    for _ in range(3):
        answer()
    print("ready", flush=True)
    while True:
        if not select.select([0], [], [], 0.5)[0]:
            continue
        if not sys.stdin.readline():
            return
        began = time.perf_counter()
        digest = hashlib.sha256(answer()).hexdigest()
        print(digest, (time.perf_counter() - began) * 1e3, flush=True)


if __name__ == "__main__":
    main()

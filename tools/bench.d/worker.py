"""One inference loop, driven line by line: prints "ready", then for each line "SECONDS" on stdin runs that long and prints
nanoseconds an inference. Ends when stdin does.

    python worker.py onnxruntime|scikit-learn|xgboost|python MODELS
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np


def onnxruntime_loop(models: Path) -> Callable[[], object]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(models / "minilm-l6-v2.onnx"), options)
    tokens = np.arange(100, 132, dtype=np.int64).reshape(2, 16)
    feed = {"input_ids": tokens, "attention_mask": np.ones_like(tokens)}
    return lambda: session.run(None, feed)


def training_data() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(5)
    rows = random.normal(size=(2000, 12))
    return rows, (rows[:, 0] * rows[:, 1] + rows[:, 2] > 0).astype(int)


def scikit_learn_loop(_: Path) -> Callable[[], object]:
    from sklearn.ensemble import RandomForestClassifier

    rows, labels = training_data()
    model = RandomForestClassifier(50, max_depth=8, random_state=5, n_jobs=1).fit(rows, labels)
    return lambda: model.predict_proba(rows[:64])


def xgboost_loop(_: Path) -> Callable[[], object]:
    import xgboost

    rows, labels = training_data()
    model = xgboost.XGBClassifier(n_estimators=100, max_depth=5, random_state=5, n_jobs=1).fit(rows, labels)
    return lambda: model.predict_proba(rows[:64])


def python_loop(_: Path) -> Callable[[], object]:
    from python_churn import turn

    return turn


LOOPS = {"onnxruntime": onnxruntime_loop, "scikit-learn": scikit_learn_loop, "xgboost": xgboost_loop, "python": python_loop}


def main() -> None:
    infer = LOOPS[sys.argv[1]](Path(sys.argv[2]))
    for _ in range(20):
        infer()
    print("ready", flush=True)
    for line in sys.stdin:
        count = 0
        began = now = time.perf_counter_ns()
        end = began + int(float(line) * 1e9)
        while now < end:
            infer()
            count += 1
            now = time.perf_counter_ns()
        print((now - began) / count, flush=True)


if __name__ == "__main__":
    main()

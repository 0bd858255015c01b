"""Models of scikit-learn, XGBoost and ONNX Runtime in the storm: each answer must be the bytes of the first. Ends with its input.

usage: models.py CLASSIFIER.onnx
"""

from __future__ import annotations

import os
import sys
import threading

import numpy as np
import onnxruntime
import xgboost
from sklearn.datasets import make_classification
from sklearn.ensemble import RandomForestClassifier

turns = 0
wrong: list[str] = []
over = threading.Event()


def main() -> None:
    global turns
    rows, labels = make_classification(1000, 12, n_informative=8, random_state=7)
    forest = RandomForestClassifier(20, max_depth=7, random_state=7).fit(rows, labels)
    boosted = xgboost.XGBClassifier(n_estimators=20, max_depth=4, random_state=7, n_jobs=1).fit(rows, labels)
    options = onnxruntime.SessionOptions()
    # One thread: the order of additions, and with it the last bit, must not depend on chance.
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
    asked = session.get_inputs()[0]
    shape = [size if isinstance(size, int) else 1 for size in asked.shape]
    image = np.random.default_rng(7).standard_normal(shape, dtype=np.float32)
    asks = {
        "scikit-learn": lambda: forest.predict_proba(rows[:50]).tobytes(),
        "xgboost": lambda: boosted.predict_proba(rows[:50]).tobytes(),
        "onnxruntime": lambda: session.run(None, {asked.name: image})[0].tobytes(),
    }
    first = {name: ask() for name, ask in asks.items()}

    def work() -> None:
        global turns
        while not over.is_set():
            for name, ask in asks.items():
                if ask() != first[name]:
                    wrong.append(name)
            turns += 1
            # A server waits for requests, too: what is idle for a moment is what is taken from.
            over.wait(0.2)

    thread = threading.Thread(target=work)
    thread.start()
    print("ready", flush=True)
    while os.read(0, 1024):
        pass
    over.set()
    thread.join()
    if wrong:
        raise SystemExit(f"storm: another answer than the first: {sorted(set(wrong))}, {len(wrong)} times")
    print(turns, flush=True)


main()

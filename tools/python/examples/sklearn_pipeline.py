#!/usr/bin/env python3
"""A scikit-learn pipeline that goes when memory is wanted, and is read again at the next request."""

from __future__ import annotations

from pathlib import Path

import joblib
import numpy as np
import serving

import mlos

FEATURES = 20


def make(folder: Path) -> None:
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    random = np.random.default_rng(2)
    rows = random.normal(size=(6000, FEATURES))
    classes = (rows[:, 0] + random.normal(0, 1.0, 6000) > 0).astype(int)
    pipeline = make_pipeline(StandardScaler(), RandomForestClassifier(150, random_state=2))
    joblib.dump(pipeline.fit(rows, classes), folder / "pipeline.joblib")


def serve(folder: Path):
    # The package is imported with the first pipeline, and stays: CPython unloads no extension module.
    pipeline = mlos.Reloadable(lambda: joblib.load(folder / "pipeline.joblib"), name="sklearn pipeline")

    def answer(request: int) -> bytes:
        rows = np.random.default_rng(request).normal(size=(50, FEATURES))
        with pipeline.get() as loaded:
            return loaded.predict_proba(rows).tobytes()

    return answer


if __name__ == "__main__":
    serving.main(make, serve)

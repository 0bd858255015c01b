"""Trains with each of XGBoost's tree methods; prints digests of the models as saved and of their answers."""

from __future__ import annotations

import numpy as np
import xgboost
from digest import show


def main() -> None:
    random = np.random.default_rng(21)
    inputs = random.normal(size=(8000, 30)).astype(np.float32)
    labels = (inputs[:, :5].sum(axis=1) + random.normal(size=8000) > 0).astype(np.int32)
    matrix = xgboost.DMatrix(inputs, labels, nthread=2)
    unseen = xgboost.DMatrix(random.normal(size=(1000, 30)).astype(np.float32), nthread=2)
    for method in ("hist", "approx", "exact"):
        settings = {
            "objective": "binary:logistic",
            "tree_method": method,
            "nthread": 2,
            "seed": 5,
            "subsample": 0.8,
            "max_depth": 6,
        }
        progress: dict = {}
        booster = xgboost.train(
            settings, matrix, 40, evals=[(matrix, "train")], evals_result=progress, verbose_eval=False
        )
        show(f"{method}: model", bytes(booster.save_raw("ubj")))
        show(f"{method}: answers", booster.predict(unseen))
        show(f"{method}: losses", np.array(progress["train"]["logloss"]))


if __name__ == "__main__":
    main()

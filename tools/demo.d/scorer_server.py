"""Risk scores by scikit-learn and XGBoost: {"rows": [[12 floats], ...]} -> {"forest": [...], "boosted": [...]}.

Both models are trained at the start, on 4,000 seeded rows; that takes about a second.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import xgboost
from sklearn.datasets import make_classification
from sklearn.ensemble import RandomForestClassifier

from serving import arguments, serve

FEATURES = 12


def main() -> None:
    options = arguments(__doc__)
    rows, labels = make_classification(4000, FEATURES, n_informative=8, random_state=7)
    forest = RandomForestClassifier(60, max_depth=9, random_state=7).fit(rows, labels)
    boosted = xgboost.XGBClassifier(n_estimators=80, max_depth=5, random_state=7, n_jobs=2).fit(rows, labels)

    def answer(request: dict[str, Any]) -> dict[str, Any]:
        given = np.array(request["rows"], np.float64)
        if given.ndim != 2 or given.shape[1] != FEATURES:
            raise ValueError(f"rows is a list of lists of {FEATURES} numbers")
        return {
            "forest": forest.predict_proba(given)[:, 1].tolist(),
            "boosted": boosted.predict_proba(given)[:, 1].tolist(),
        }

    serve(options.ready, answer)


if __name__ == "__main__":
    main()

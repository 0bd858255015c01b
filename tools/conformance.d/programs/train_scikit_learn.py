"""Trains one model of each kind with a fixed seed; prints digests of what was learned and of what it says."""

from __future__ import annotations

import numpy as np
from digest import show
from sklearn.cluster import KMeans
from sklearn.datasets import make_classification
from sklearn.decomposition import PCA
from sklearn.ensemble import GradientBoostingClassifier, HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.svm import SVC


def main() -> None:
    inputs, labels = make_classification(3000, 40, n_informative=20, n_classes=3, random_state=11)
    unseen = np.random.default_rng(12).normal(size=(500, 40))
    models = {
        "logistic regression": LogisticRegression(max_iter=300),
        "svc": SVC(),
        "mlp": MLPClassifier((64, 32), max_iter=25, random_state=1),
        "random forest": RandomForestClassifier(60, random_state=2, n_jobs=2),
        "gradient boosting": GradientBoostingClassifier(n_estimators=25, random_state=3),
        "histogram boosting": HistGradientBoostingClassifier(max_iter=40, random_state=4),
    }
    for name, model in models.items():
        model.fit(inputs, labels)
        decide = model.decision_function if name == "svc" else model.predict_proba
        show(f"{name}: answers", decide(unseen))
    show("logistic regression: weights", models["logistic regression"].coef_)
    show("svc: vectors", models["svc"].support_vectors_)
    show("mlp: weights", np.concatenate([layer.ravel() for layer in models["mlp"].coefs_]))
    for number, tree in enumerate(models["random forest"].estimators_[:10]):
        show(f"random forest: tree {number}", tree.tree_.__getstate__()["nodes"])
    kmeans = KMeans(8, n_init=3, random_state=5).fit(inputs)
    show("k-means: centres", kmeans.cluster_centers_)
    show("pca: components", PCA(10, random_state=6).fit(inputs).components_)


if __name__ == "__main__":
    main()

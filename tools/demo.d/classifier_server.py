"""An image classifier on ONNX Runtime: {"seed": N} -> {"classes": [five], "scores": [five]}.

The image is drawn from the seed, so that a request stays small and two runs see the same pixels.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from inference import open_session
from serving import arguments, serve


def main() -> None:
    options = arguments(__doc__)
    session = open_session(options.model)

    def answer(request: dict[str, Any]) -> dict[str, Any]:
        image = np.random.default_rng(request["seed"]).random((1, 3, 224, 224), np.float32)
        scores = session.run(None, {"input": image})[0][0]
        best = np.argsort(-scores, kind="stable")[:5]
        return {"classes": best.tolist(), "scores": scores[best].tolist()}

    serve(options.ready, answer)


if __name__ == "__main__":
    main()

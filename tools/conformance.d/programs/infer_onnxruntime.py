"""Asks a sentence-embedding model and an image classifier with seeded inputs; prints digests of their answers.

python infer_onnxruntime.py DIRECTORY   (the two files that tools/demo.d/models.py makes)
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnxruntime
from digest import show


def main() -> None:
    random = np.random.default_rng(31)
    for threads in (1, 2):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        folder = Path(sys.argv[1])
        embedder = onnxruntime.InferenceSession(
            folder / "minilm-l6-v2.onnx", options, providers=["CPUExecutionProvider"]
        )
        for length in (8, 32, 96, 128):
            tokens = random.integers(1000, 30000, (4, length))
            mask = np.ones_like(tokens)
            mask[2:, length // 2 :] = 0
            answers = embedder.run(None, {"input_ids": tokens, "attention_mask": mask})
            show(f"embeddings of {length} tokens, {threads} threads", answers[0])
        classifier = onnxruntime.InferenceSession(
            folder / "classifier.onnx", options, providers=["CPUExecutionProvider"]
        )
        for images in (1, 3):
            values = random.normal(size=(images, 3, 224, 224)).astype(np.float32)
            show(f"classes of {images} images, {threads} threads", classifier.run(None, {"input": values})[0])
        del embedder, classifier


if __name__ == "__main__":
    main()

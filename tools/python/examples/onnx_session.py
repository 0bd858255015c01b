#!/usr/bin/env python3
"""An ONNX Runtime session that goes when memory is wanted, and is made again at the next request."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import serving

import mlos

WIDTH, LAYERS = 1024, 12  # 48 MiB of weights


def make(folder: Path) -> None:
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    random = np.random.default_rng(1)
    nodes, weights, value = [], [], "input"
    for layer in range(LAYERS):
        matrix = random.normal(0, 1 / WIDTH**0.5, (WIDTH, WIDTH)).astype(np.float32)
        weights.append(numpy_helper.from_array(matrix, f"w{layer}"))
        nodes.append(helper.make_node("MatMul", [value, f"w{layer}"], [f"m{layer}"]))
        nodes.append(helper.make_node("Tanh", [f"m{layer}"], [value := f"t{layer}"]))
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["rows", WIDTH]) for name in ("input", value)]
    graph = helper.make_graph(nodes, "example", ends[:1], ends[1:], weights)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), folder / "model.onnx")


def serve(folder: Path):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1

    def load() -> onnxruntime.InferenceSession:
        return onnxruntime.InferenceSession(folder / "model.onnx", options, providers=["CPUExecutionProvider"])

    model = mlos.Reloadable(load, name="onnx session", strategy=mlos.UnloadingStrategy.BALANCED)

    def answer(request: int) -> bytes:
        rows = np.random.default_rng(request).normal(size=(4, WIDTH)).astype(np.float32)
        return model.use(lambda session: session.run(None, {"input": rows})[0].tobytes())

    return answer


if __name__ == "__main__":
    serving.main(make, serve)

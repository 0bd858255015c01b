"""Python and numpy at work on the allocator: linear algebra, objects, growth, threads. Prints digests."""

from __future__ import annotations

import collections
import concurrent.futures
import gc
import json
import subprocess
import sys

import numpy as np
from digest import show


def linear_algebra(seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    matrix = random.normal(size=(160, 160))
    q, r = np.linalg.qr(matrix)
    return np.concatenate(
        [
            np.linalg.solve(matrix, matrix[0]),
            np.linalg.svd(matrix)[1],
            np.linalg.eigvalsh(matrix @ matrix.T),
            (q @ r)[0],
        ]
    )


def objects(seed: int) -> bytes:
    random = np.random.default_rng(seed)
    table: dict[str, list[int]] = collections.defaultdict(list)
    for number in random.integers(0, 5000, 60_000).tolist():
        table[f"key {number % 977}"].append(number)
        if number % 101 == 0:
            table.pop(f"key {number % 313}", None)
    cycles = [[] for _ in range(2000)]
    for left, right in zip(cycles, cycles[1:]):
        left.append(right)
        right.append(left)
    del cycles, left, right
    gc.collect()
    return json.dumps(table, sort_keys=True).encode()


def growth(seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    pieces = [random.normal(size=size) for size in random.integers(1, 40_000, 400)]
    for index in range(0, len(pieces), 3):
        pieces[index] = np.resize(pieces[index], pieces[index].size * 2 + 1)
    return np.array([piece.sum() for piece in pieces])


def main() -> None:
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        for name, function in (("linear algebra", linear_algebra), ("objects", objects), ("growth", growth)):
            for seed, result in enumerate(pool.map(function, range(4))):
                show(f"{name} {seed}", result)
    child = subprocess.run(
        [sys.executable, "-c", "print(sum(hash((i, str(i))) for i in range(100000)))"], capture_output=True, check=True
    )
    show("a child", child.stdout)


if __name__ == "__main__":
    main()

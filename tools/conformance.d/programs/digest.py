"""Prints what a program computed as one line a result: `NAME digest SHA-256`."""

from __future__ import annotations

import hashlib

import numpy as np


def show(name: str, value: object) -> None:
    """An array with its type and shape, or bytes. A structured array field by field: its padding is nobody's result."""
    digest = hashlib.sha256()
    for part in parts(value):
        digest.update(part)
    print(f"{name} digest {digest.hexdigest()}", flush=True)


def parts(value: object) -> list[bytes]:
    if isinstance(value, bytes):
        return [value]
    array = np.asarray(value)
    if array.dtype == object:
        return [part for element in array.ravel() for part in parts(element)]
    head = f"{array.dtype} {array.shape}".encode()
    if array.dtype.names:
        return [head, *(part for name in array.dtype.names for part in parts(array[name]))]
    return [head, np.ascontiguousarray(array).tobytes()]

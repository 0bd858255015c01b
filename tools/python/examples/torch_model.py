#!/usr/bin/env python3
"""A torch model that goes when memory is wanted; torch itself is imported at its first use."""

from __future__ import annotations

from pathlib import Path

import serving

import mlos

WIDTH, LAYERS = 1024, 12


def empty_caches() -> None:
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()


torch = mlos.lazy("torch", strategy=mlos.UnloadingStrategy.CONSERVATIVE, release=empty_caches)


def network():
    layers = [torch.nn.Sequential(torch.nn.Linear(WIDTH, WIDTH), torch.nn.Tanh()) for _ in range(LAYERS)]
    return torch.nn.Sequential(*layers)


def make(folder: Path) -> None:
    torch.manual_seed(3)
    torch.save(network().state_dict(), folder / "model.pt")


def serve(folder: Path):
    torch.set_num_threads(1)

    def load():
        model = network()
        model.load_state_dict(torch.load(folder / "model.pt", weights_only=True))
        return model.eval()

    model = mlos.Reloadable(load, name="torch model", strategy=mlos.UnloadingStrategy.BALANCED, release=empty_caches)

    def answer(request: int) -> bytes:
        with torch.inference_mode(), model.get() as loaded:
            rows = torch.randn((4, WIDTH), generator=torch.Generator().manual_seed(request))
            return loaded(rows).numpy().tobytes()

    return answer


if __name__ == "__main__":
    serving.main(make, serve)

"""Three training loops with fixed seeds on two threads; prints digests of every trained tensor and of the losses."""

from __future__ import annotations

import numpy as np
import torch
from digest import show
from torch import nn


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(200, 64)
        self.layers = nn.TransformerEncoder(nn.TransformerEncoderLayer(64, 4, 128, dropout=0.1, batch_first=True), 2)
        self.head = nn.Linear(64, 10)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.head(self.layers(self.embed(tokens)).mean(dim=1))


def train(
    name: str,
    model: nn.Module,
    inputs: torch.Tensor,
    labels: torch.Tensor,
    optimiser: torch.optim.Optimizer,
    steps: int,
) -> None:
    data = torch.utils.data.TensorDataset(inputs, labels)
    # Worker processes, by fork: tensors come back through shared memory.
    loader = torch.utils.data.DataLoader(
        data, batch_size=32, shuffle=True, num_workers=2, generator=torch.Generator().manual_seed(7)
    )
    losses: list[float] = []
    while len(losses) < steps:
        for batch, wanted in loader:
            optimiser.zero_grad()
            loss = nn.functional.cross_entropy(model(batch), wanted)
            loss.backward()
            optimiser.step()
            losses.append(loss.item())
    show(f"{name}: losses", np.array(losses))
    for key, tensor in model.state_dict().items():
        show(f"{name}: {key}", tensor.numpy())
    model.eval()
    with torch.no_grad():
        show(f"{name}: answers", model(inputs[:64]).numpy())


def main() -> None:
    torch.set_num_threads(2)
    torch.use_deterministic_algorithms(True)
    torch.manual_seed(41)
    labels = torch.randint(0, 10, (512,))
    dense = nn.Sequential(
        nn.Linear(100, 256), nn.ReLU(), nn.Dropout(0.2), nn.Linear(256, 64), nn.GELU(), nn.Linear(64, 10)
    )
    train("dense", dense, torch.randn(512, 100), labels, torch.optim.Adam(dense.parameters()), 200)
    image = nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(128, 10),
    )
    train(
        "convolution",
        image,
        torch.randn(512, 3, 32, 32),
        labels,
        torch.optim.SGD(image.parameters(), 0.05, momentum=0.9),
        64,
    )
    attention = Attention()
    train(
        "attention", attention, torch.randint(0, 200, (512, 24)), labels, torch.optim.AdamW(attention.parameters()), 64
    )
    scripted = torch.jit.trace(dense.eval(), torch.randn(4, 100))
    show("traced: answers", scripted(torch.ones(4, 100)).detach().numpy())


if __name__ == "__main__":
    main()

"""The picture of a run: what an allocation costs under the agent and under its peers, on a logarithmic scale, as SVG."""

from __future__ import annotations

import html
import math
from pathlib import Path

from figures import Figures

OURS, THEIRS = "#2a78d6", "#9a9994"
LEFT, WIDTH, BAR, GAP, TOP = 250, 420, 18, 10, 34
PAIRS = [
    ("MLOS, off", "1 thread: agent off"),
    ("MLOS, exact live bytes", "1 thread: exact live bytes"),
    ("MLOS, heap profile under way", "1 thread: a heap profile under way"),
    ("jemalloc's profiler", "1 thread: jemalloc, its profiler against without"),
    ("heaptrack", "1 thread: heaptrack"),
]
PYTHON = [
    ("MLOS, exact live bytes", "the agent: slowdown, 95 % bound"),
    ("MLOS, heap profile under way", "a heap profile under way"),
    ("jemalloc's profiler", "jemalloc, its profiler against without"),
    ("memray", "memray"),
    ("memray --native", "memray --native"),
    ("heaptrack", "heaptrack"),
]


def panel(title: str, bars: list[tuple[str, float]], unit: str, least: float, y: int) -> tuple[list[str], int]:
    """One chart; values under `least` are drawn as `least`, with their number beside them."""
    lines = [f'<text x="0" y="{y}" class="title">{html.escape(title)}</text>']
    y += TOP - 18
    span = math.log10(max(max(value for _, value in bars), least * 10) / least)
    for name, value in bars:
        width = max(2.0, math.log10(max(value, least) / least) / span * WIDTH)
        colour = OURS if name.startswith("MLOS") else THEIRS
        text = f"{value:+.2f} {unit}" if abs(value) < 10 else f"{value:+,.0f} {unit}"
        lines.append(f'<text x="{LEFT - 8}" y="{y + 13}" class="name">{html.escape(name)}</text>')
        lines.append(f'<rect x="{LEFT}" y="{y}" width="{width:.1f}" height="{BAR}" rx="3" fill="{colour}"/>')
        lines.append(f'<text x="{LEFT + width + 6:.1f}" y="{y + 13}">{text}</text>')
        y += BAR + GAP
    return lines, y + 20


def write(figures: Figures, path: Path) -> bool:
    """False if this run measured nothing of it."""
    charts = []
    for title, names, unit, least in (
        ("Added to a malloc/free pair of 64 bytes, one thread", PAIRS, "ns", 0.1),
        ("Python bound by malloc: slower by", PYTHON, "%", 0.5),
    ):
        bars = [(name, value) for name, what in names if (value := figures.value(what)) is not None]
        if bars:
            charts.append((f"{title} ({unit}, logarithmic)", bars, unit, least))
    if not charts:
        return False
    body: list[str] = []
    y = 20
    for title, bars, unit, least in charts:
        lines, y = panel(title, bars, unit, least, y)
        body += lines
    width = LEFT + WIDTH + 110
    path.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="-10 0 {width} {y}" width="{width}" height="{y}" role="img" '
        'font-family="system-ui, sans-serif" font-size="13">\n'
        "<style>text{fill:#52514e} .title{fill:#0b0b0b;font-weight:600} .name{text-anchor:end}"
        "@media(prefers-color-scheme:dark){text{fill:#c3c2b7} .title{fill:#fff}}</style>\n"
        + "\n".join(body) + "\n</svg>\n")
    return True

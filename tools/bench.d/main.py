"""Runs the parts of tools/bench and writes build/bench.json, build/bench.md and build/bench.svg."""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

import idle
import inference
import instructions
import latency
import pairs
import plot
import process_cost
import python_cost
import reclaim
import scale
from figures import MISSED, Figures
from programs import ROOT
from setting import Setting

PARTS = {
    "instructions": instructions.bench, "pairs": pairs.bench, "python": python_cost.bench, "process": process_cost.bench,
    "inference": inference.bench, "idle": idle.bench, "latency": latency.bench, "scale": scale.bench, "reclaim": reclaim.bench,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--binaries", type=Path, required=True)
    parser.add_argument("--models", type=Path, required=True)
    parser.add_argument("--memray", type=Path)
    parser.add_argument("--generations", type=int, default=6)
    parser.add_argument("--rounds", type=int, default=14)
    parser.add_argument("--part", action="append", choices=PARTS)
    options = parser.parse_args()
    print(f"Load of this machine before the start (one minute): {os.getloadavg()[0]:.2f}")
    figures = Figures()
    for name in options.part or PARTS:
        # One for each: the socket of a supervisor lies in it.
        with tempfile.TemporaryDirectory(prefix="mlb.") as directory:
            PARTS[name](figures, Setting(
                options.binaries, options.models, options.memray, Path(directory), options.generations, options.rounds))
    folder = ROOT / "build"
    figures.save(folder / "bench.json")
    (folder / "bench.md").write_text(figures.markdown())
    written = ["bench.json", "bench.md"] + (["bench.svg"] if plot.write(figures, folder / "bench.svg") else [])
    print("\nwrote " + ", ".join(f"build/{name}" for name in written))
    # A time may drift with the machine; a count may not.
    gates = [row for row in figures.rows if row.unit == "instructions" and row.verdict == MISSED]
    for row in gates:
        print(f"over the gate: {row.what}, {row.measured} instructions, {row.goal}")
    return 1 if gates else 0


if __name__ == "__main__":
    raise SystemExit(main())

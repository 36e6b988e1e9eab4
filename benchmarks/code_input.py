"""Codes as -1/+1 or as two one-hot columns: which trains better?

    python -m benchmarks.code_input --data DATA [--images 16000] [--seeds 0 1 2]

Both see the same images once. Scores are on train images that the encoder has not seen.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from benchmarks.code_quality import linear_probe
from benchmarks.results import append, read
from dmzrep import DMZEncoder


def main(arguments: list[str] | None = None) -> None:
    """Run the benchmark and append its rows."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="folder that holds mnist.npz")
    parser.add_argument("--images", type=int, default=16_000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parsed = parser.parse_args(arguments)
    data = np.load(Path(parsed.data) / "mnist.npz")
    X, y = data["x_train"], data["y_train"]
    done = {(row["code_input"], row["seed"], row["images"]) for row in read("code_input")}
    for seed in parsed.seeds:
        order = np.random.default_rng(seed).permutation(len(X))
        seen, held_out = order[: parsed.images], order[-20_000:]
        for code_input in ("signed", "one_hot"):
            if (code_input, seed, parsed.images) in done:
                continue
            encoder = DMZEncoder(code_input=code_input, max_iter=1, random_state=seed).fit(X[seen])
            Z, labels = encoder.transform(X[held_out]), y[held_out]
            last = encoder.history_.iloc[-1]
            row = {"code_input": code_input, "seed": seed, "images": parsed.images}
            row["probabilities"] = linear_probe(Z[:10_000], labels[:10_000], Z[10_000:], labels[10_000:])
            bits = (Z > 0.5).astype(np.float32)
            row["bits"] = linear_probe(bits[:10_000], labels[:10_000], bits[10_000:], labels[10_000:])
            row["loss"], row["loss_hard"] = (
                float(last["validation_loss"]),
                float(last["validation_loss_hard"]),
            )
            append("code_input", row)
            print(row, flush=True)


if __name__ == "__main__":
    main()

"""Fit one encoder in several processes, each on its share of every batch.

The total batch size is the same as in one process, so the codes are the same up to rounding.

    torchrun --nproc-per-node 2 examples/distributed_fit.py
    accelerate launch --multi_gpu --num_processes 2 examples/distributed_fit.py
    python examples/distributed_fit.py  # alone
"""

import os
from argparse import ArgumentParser, Namespace
from pathlib import Path

from sklearn.linear_model import LogisticRegression

from dmzrep import DMZEncoder, Training
from dmzrep.datasets import load_avatars

#: Number of held-out images.
N_TEST = 500
#: The attribute to predict from codes.
TARGET = "eyeglasses"


def main() -> None:
    options = parse_options()
    X, Y = load_avatars(return_X_y=True)
    X_train, X_test = X[: options.images], X[-N_TEST:]
    y_train, y_test = Y[TARGET][: options.images], Y[TARGET][-N_TEST:]
    # All processes read all images and end with the same encoder.
    encoder = DMZEncoder(
        64,
        batch_size=128,
        max_time=options.seconds,
        max_iter=10_000,
        random_state=options.seed,
        training=Training(distributed="RANK" in os.environ),  # Set by launchers.
        verbose=1,
        checkpoint_dir=options.out / "distributed_checkpoints",
        checkpoint_every=60.0,
    ).fit(X_train)
    if int(os.environ.get("RANK", "0")) > 0:
        return
    last = encoder.history_.iloc[-1]
    print(f"{os.environ.get('WORLD_SIZE', '1')} processes, {last['images_per_second']:.0f} images per second")
    probe = LogisticRegression(max_iter=1000).fit(encoder.transform(X_train), y_train)
    score = probe.score(encoder.transform(X_test), y_test)
    print(f"{TARGET!r} of {len(X_test)} other images from their codes: accuracy {score:.3f}")
    path = options.out / "distributed.safetensors"
    encoder.save(path)
    print(f"Saved {path}")


def parse_options() -> Namespace:
    parser = ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=20.0, help="training time (default: 20)")
    parser.add_argument("--images", type=int, default=3500, help="most training images (default: 3500)")
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder for files (default: out)")
    parser.add_argument("--seed", type=int, default=0, help="random seed (default: 0)")
    return parser.parse_args()


if __name__ == "__main__":
    main()

"""Fit one encoder in several processes, each on its share of every batch.

The total batch size is the same as in one process, so the codes are the same up to rounding.

    torchrun --nproc-per-node 2 examples/distributed_fit.py
    accelerate launch --multi_gpu --num_processes 2 examples/distributed_fit.py
    python examples/distributed_fit.py  # alone
"""

import os

from _data import load_faces, parse_options
from sklearn.linear_model import LogisticRegression

from dmzrep import DMZEncoder, Training

#: The attribute to predict from codes, by the name of the data.
TARGETS = {"faces": "eyeglasses", "sprites": "warm"}


def main() -> None:
    options = parse_options(__doc__.splitlines()[0], seconds=20)
    data = load_faces(options.data, n_train=options.images)
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
    ).fit(data.X_train)
    if int(os.environ.get("RANK", "0")) > 0:
        return
    last = encoder.history_.iloc[-1]
    print(f"{os.environ.get('WORLD_SIZE', '1')} processes, {last['images_per_second']:.0f} images per second")
    target = TARGETS[data.name]
    probe = LogisticRegression(max_iter=1000).fit(encoder.transform(data.X_train), data.Y_train[target])
    score = probe.score(encoder.transform(data.X_test), data.Y_test[target])
    print(f"{target!r} of {len(data.X_test)} other images from their codes: accuracy {score:.3f}")
    path = options.out / "distributed.safetensors"
    encoder.save(path)
    print(f"Saved {path}")


if __name__ == "__main__":
    main()

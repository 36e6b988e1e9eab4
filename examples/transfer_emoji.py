"""Translate emoji from one style to another through codes that were learned without pairs.

The encoder of each style is trained on its images alone. A mapping between their codes is then fitted to
pairs. The folder contains emoji64.npz; without it, sprites are rotated and inverted.

    python examples/transfer_emoji.py --data FOLDER --seconds 300 --out out
"""

import matplotlib
import numpy as np
from _data import parse_options
from _pairs import show_transfer, small, sprite_pairs
from sklearn.utils import Bunch


def main() -> None:
    matplotlib.use("Agg")
    options = parse_options(__doc__.splitlines()[0], seconds=300)
    if options.data is None:
        pairs = sprite_pairs(options.images, lambda X: 255 - np.rot90(X, axes=(1, 2)))
    else:
        pairs = load_emoji(options)
    show_transfer(pairs, options, "transfer_emoji")


def load_emoji(options) -> Bunch:
    """Return emoji of 32 x 32 pixels by Twitter and Google; variants of an emoji form a group."""
    path = options.data / "emoji64.npz"
    if not path.exists():
        raise SystemExit(f"There is no {path}. Omit --data to use sprites instead.")
    with np.load(path) as file:
        train, n = file["train"], options.images
        source, target, groups = small(file["x_twitter"]), small(file["x_google"]), file["group_id"]
    return Bunch(
        X_a=source[train][:n],
        X_b=target[train][:n],
        groups=groups[train][:n],
        images_b=target[train][:n],
        test_a=source[~train],
        test_b=target[~train],
    )


if __name__ == "__main__":
    main()

"""Translate edge maps to faces through codes that were learned without pairs.

The encoder of faces is trained on many more faces than have edge maps. The folder contains
avatar_edges64.npz and avatars64.npz; without it, edges of sprites are used.

    python examples/transfer_edges.py --data FOLDER --seconds 300 --out out
"""

import matplotlib
import numpy as np
from _data import FACES, parse_options
from _pairs import edges, show_transfer, small, sprite_pairs
from sklearn.utils import Bunch


def main() -> None:
    matplotlib.use("Agg")
    options = parse_options(__doc__.splitlines()[0], seconds=300)
    if options.data is None:
        sprites = sprite_pairs(options.images, edges)
        pairs = Bunch(
            X_a=sprites.X_b,
            X_b=sprites.X_a,
            groups=None,
            images_b=sprites.X_a,
            test_a=sprites.test_b,
            test_b=sprites.test_a,
        )
    else:
        pairs = load_edges(options)
    show_transfer(pairs, options, "transfer_edges")


def load_edges(options) -> Bunch:
    """Return edge maps and faces of 32 x 32 pixels."""
    paths = [options.data / name for name in ("avatar_edges64.npz", FACES)]
    for path in paths:
        if not path.exists():
            raise SystemExit(f"There is no {path}. Omit --data to use sprites instead.")
    with np.load(paths[0]) as file:
        maps = {name: file[name] for name in file.files}
    with np.load(paths[1]) as file:
        faces, test = small(file["x_train"]), small(file["x_test"][maps["idx_test"]])
    n = options.images
    return Bunch(
        X_a=small(maps["edges_train"][:n]),
        X_b=faces[maps["idx_train"]][:n],
        groups=None,
        images_b=faces[:n],
        test_a=small(maps["edges_test"]),
        test_b=test,
    )


if __name__ == "__main__":
    main()

"""Pictures with attributes for the examples: faces from a folder, or sprites that are drawn here."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.utils import Bunch

from dmzrep.datasets import make_sprites

#: File of 64 x 64 faces: x_train, x_test (uint8), a_train, a_test (0 or 1) and attr_names.
FACES = "avatars64.npz"


def parse_options(description: str, seconds: float) -> Namespace:
    """Read the options that all examples share."""
    parser = ArgumentParser(description=description)
    parser.add_argument("--data", type=Path, help=f"folder with {FACES} (default: draw sprites)")
    parser.add_argument(
        "--seconds", type=float, default=seconds, help=f"training time (default: {seconds:g})"
    )
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder for pictures (default: out)")
    parser.add_argument("--seed", type=int, default=0, help="decides all random numbers (default: 0)")
    return parser.parse_args()


def load_faces(folder: Path | None, *, n_train: int = 20_000, n_test: int = 2_000) -> Bunch:
    """Load pictures of 32 x 32 pixels with binary attributes.

    Parameters
    ----------
    folder : Path or None
        Where the file of faces is; None draws sprites instead.
    n_train, n_test : int
        Pictures at most.

    Returns
    -------
    Bunch
        X_train, X_test (uint8, channels last), Y_train, Y_test (DataFrames of 0 and 1), and name,
        "faces" or "sprites".
    """
    if folder is None:
        X, Y = make_sprites(n_train + n_test, return_X_y=True, random_state=0)
        return Bunch(
            X_train=X[:n_train],
            Y_train=Y[:n_train],
            X_test=X[n_train:],
            Y_test=Y[n_train:].reset_index(drop=True),
            name="sprites",
        )
    path = Path(folder) / FACES
    if not path.exists():
        raise SystemExit(f"There is no {path}. Leave --data out to draw sprites instead.")
    with np.load(path) as file:
        names = file["attr_names"].tolist()
        parts = {
            part: (halved(file[f"x_{part}"][:n]), pd.DataFrame(file[f"a_{part}"][:n], columns=names))
            for part, n in (("train", n_train), ("test", n_test))
        }
    (X_train, Y_train), (X_test, Y_test) = parts["train"], parts["test"]
    return Bunch(X_train=X_train, Y_train=Y_train, X_test=X_test, Y_test=Y_test, name="faces")


def halved(images: np.ndarray) -> np.ndarray:
    """Average blocks of 2 x 2 pixels."""
    n, height, width, channels = images.shape
    blocks = images.reshape(n, height // 2, 2, width // 2, 2, channels)
    return np.rint(blocks.mean(axis=(2, 4), dtype=np.float32)).astype(np.uint8)

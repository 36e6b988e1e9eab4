"""Images with attributes for the examples: faces from a folder, or generated sprites."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.utils import Bunch

from dmzrep import DMZEncoder
from dmzrep.datasets import make_sprites

#: File of 64 x 64 faces: x_train, x_test (uint8), a_train, a_test (0 or 1) and attr_names.
FACES = "avatars64.npz"


def parse_options(description: str, seconds: float, images: int = 20_000) -> Namespace:
    """Parse the options that all examples share."""
    parser = ArgumentParser(description=description)
    parser.add_argument("--data", type=Path, help=f"folder with {FACES} (default: generate sprites)")
    parser.add_argument(
        "--seconds", type=float, default=seconds, help=f"training time (default: {seconds:g})"
    )
    parser.add_argument(
        "--images", type=int, default=images, help=f"most training images (default: {images})"
    )
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder for figures (default: out)")
    parser.add_argument("--encoder", type=Path, help="file of a trained encoder; created if missing")
    parser.add_argument("--seed", type=int, default=0, help="random seed (default: 0)")
    return parser.parse_args()


def load_faces(folder: Path | None, *, n_train: int = 20_000, n_test: int | None = None) -> Bunch:
    """Load images of 32 x 32 pixels with binary attributes.

    Parameters
    ----------
    folder : Path or None
        Folder with the file of faces; None generates sprites instead.
    n_train, n_test : int
        Largest numbers of images; by default, there are a tenth as many test images as training images.

    Returns
    -------
    Bunch
        X_train, X_test (uint8, channels last), Y_train, Y_test (DataFrames of 0 and 1), and name,
        "faces" or "sprites".
    """
    n_test = max(n_train // 10, 100) if n_test is None else n_test
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
        raise SystemExit(f"There is no {path}. Omit --data to use sprites instead.")
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


def fitted_encoder(options: Namespace, X: np.ndarray, latent_dim: int = 64) -> DMZEncoder:
    """Load the encoder given by the options, or train one for the given time."""
    if options.encoder is not None and options.encoder.exists():
        print(f"Using the encoder in {options.encoder}.")
        return DMZEncoder.load(options.encoder)
    print(f"Training on {len(X)} images without labels for {options.seconds:g} seconds.")
    encoder = DMZEncoder(
        latent_dim, max_time=options.seconds, max_iter=10_000, random_state=options.seed, verbose=1
    ).fit(X)
    if options.encoder is not None:
        encoder.save(options.encoder)
    return encoder


def save_figures(folder: Path, **displays: object) -> None:
    """Save the figure of each display under its name."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, display in displays.items():
        path = folder / f"{name}.png"
        display.figure_.savefig(path, dpi=120)
        print(f"Saved {path}")

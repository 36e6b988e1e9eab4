"""Learn 128-bit codes of cartoon faces without labels, then classify, search, edit and sample with them.

Run it with ``make demo``, or ``python examples/quickstart.py --seconds 90 --out out``.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from sklearn.decomposition import PCA

from dmzrep import AttributeEditor, DMZEncoder
from dmzrep.datasets import load_avatars
from dmzrep.plotting import (
    EditDisplay,
    ImageGridDisplay,
    NeighborsDisplay,
    ReconstructionDisplay,
    SampleDisplay,
)
from dmzrep.probing import probe_scores, probe_summary
from dmzrep.retrieval import ITQTransformer

BITS = 128
#: Images that are held out from all training, and training images whose labels classifiers and edits use.
N_TEST, N_LABELLED = 500, 1000


def main() -> None:
    options = parse_options()
    started = time.perf_counter()
    X, Y = load_avatars(return_X_y=True)
    X_train, X_test, Y_test = X[:-N_TEST], X[-N_TEST:], Y[-N_TEST:]
    if options.encoder is not None:
        encoder = DMZEncoder.load(options.encoder).set_params(output="logits")
        seconds = encoder.history_["seconds"].iloc[-1]
    else:
        print(f"Training on {len(X_train)} images, without their labels, for {options.seconds:g} seconds.")
        encoder = DMZEncoder(
            BITS,
            output="logits",
            max_time=options.seconds,
            max_iter=10_000,
            batch_size=32,  # More steps than by default, which helps in a short run.
            random_state=options.seed,
            verbose=1,
        )
        seconds = timed(lambda: encoder.fit(X_train))[1]
    images = int(encoder.history_["images"].iloc[-1])
    print(f"{encoder.n_iter_} epochs on {encoder.device_}: {images} images.\n")

    table = code_table(encoder, seconds, X, Y, options.seed)
    print(
        f"{Y.shape[1]} attributes of {N_TEST} held-out images, classified from {N_LABELLED} labelled ones.\n"
        f"AUROC: mean over the attributes. Seconds: learning the code, and encoding all {len(X)} images.\n"
    )
    print(table.to_string(formatters={"AUROC": "{:.3f}".format, "seconds": "{:.1f}".format}), "\n")
    if options.results is not None:
        row = {"seed": options.seed, "seconds_asked": options.seconds, "images_seen": images}
        with open(options.results, "a") as file:
            file.write(json.dumps({**row, "codes": table.to_dict(orient="index")}) + "\n")

    labelled = X[:N_LABELLED], Y.loc[: N_LABELLED - 1, ["beard", "eyeglasses"]]
    editor = AttributeEditor(encoder).fit(*labelled)
    plain = (Y_test[["beard", "eyeglasses", "sunglasses"]] == 0).all(axis=1).to_numpy()
    options.out.mkdir(parents=True, exist_ok=True)
    encoder.save(options.out / "faces.safetensors")
    for path in save_pictures(editor, X_train, X_test, X_test[plain], options.out, options.seed):
        print(f"Saved {path}")
    print(f"Saved the model in {options.out / 'faces.safetensors'}; DMZEncoder.load reads it.")
    print(f"Done in {time.perf_counter() - started:.0f} seconds.")


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=90.0, help="training time (default: 90)")
    parser.add_argument("--encoder", type=Path, help="a saved encoder of these images, instead of training")
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder for figures (default: out)")
    parser.add_argument("--seed", type=int, default=0, help="random seed (default: 0)")
    parser.add_argument("--results", type=Path, help="file to which the table is appended as a line of JSON")
    return parser.parse_args()


def timed(work: Callable) -> tuple[Any, float]:
    """Return the result of a call, and its duration in seconds."""
    begun = time.perf_counter()
    result = work()
    return result, time.perf_counter() - begun


def code_table(
    encoder: DMZEncoder, fit_seconds: float, X: np.ndarray, Y: pd.DataFrame, seed: int
) -> pd.DataFrame:
    """Compare codes, as features of the attributes, with rivals fitted to the same training images."""
    pixels = X.reshape(len(X), -1) / 255
    pca, itq = PCA(BITS, random_state=seed), ITQTransformer(BITS, random_state=seed)
    logits, encode_seconds = timed(lambda: encoder.transform(X))
    components, pca_seconds = timed(lambda: pca.fit(pixels[:-N_TEST]).transform(pixels))
    itq_bits, itq_seconds = timed(lambda: itq.fit(pixels[:-N_TEST]).transform(pixels))
    codes = {
        "DMZ bits": (logits > 0, BITS // 8, fit_seconds + encode_seconds),
        "DMZ logits": (logits, 4 * BITS, fit_seconds + encode_seconds),
        "ITQ bits": (itq_bits, BITS // 8, itq_seconds),
        "PCA signs": (components > 0, BITS // 8, pca_seconds),
        "PCA components": (components, 4 * BITS, pca_seconds),
        "pixels": (pixels, pixels.shape[1], 0.0),
    }
    rows = np.r_[:N_LABELLED, len(X) - N_TEST : len(X)]
    (name, first), *others = ((name, code[rows].astype(np.float32)) for name, (code, *_) in codes.items())
    scores = probe_scores(
        first,
        Y.iloc[rows],
        protocol="holdout",
        split=np.repeat(["train", "test"], [N_LABELLED, N_TEST]),
        scoring="roc_auc",
        baselines=dict(others),
        name=name,
        n_jobs=-1,
    )
    table = pd.DataFrame.from_dict(codes, orient="index", columns=["", "bytes per image", "seconds"])
    table.insert(2, "AUROC", probe_summary(scores).set_index("representation")["roc_auc"])
    return table.drop(columns="")


def save_pictures(
    editor: AttributeEditor,
    X_train: np.ndarray,
    X_test: np.ndarray,
    plain: np.ndarray,
    folder: Path,
    seed: int,
) -> list[Path]:
    """Save figures of held-out images, `plain` of them without a beard or glasses; return their paths."""
    matplotlib.use("Agg")
    encoder, shown, options = editor.encoder, plain[:10], {"random_state": seed}
    rows = {
        "held-out face": shown,
        f"from its {BITS} bits": encoder.reconstruct(shown, **options),
        "beard added": editor.edit(shown, "beard", **options)[0],
        "eyeglasses added": editor.edit(shown, "eyeglasses", **options)[0],
        "new faces": encoder.sample(len(shown), **options),
    }
    overview = ImageGridDisplay(np.stack(list(rows.values())) / 255, row_labels=list(rows)).plot()
    amounts = (2.0, 4.0, np.inf)
    displays = {
        "overview.png": overview,
        "reconstructions.png": ReconstructionDisplay.from_estimator(encoder, X_test, n_draws=3, **options),
        "neighbors.png": NeighborsDisplay.from_estimator(encoder, X_test[:6], X_train),
        "beard.png": EditDisplay.from_estimator(editor, plain, "beard", amounts, **options),
        "eyeglasses.png": EditDisplay.from_estimator(editor, plain, "eyeglasses", amounts, **options),
        "new_faces.png": SampleDisplay.from_estimator(encoder, 64, **options),
    }
    for name, display in displays.items():
        display.figure_.savefig(folder / name, dpi=120, bbox_inches="tight")
    return [folder / name for name in displays]


if __name__ == "__main__":
    main()

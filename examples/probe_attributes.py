"""Predict attributes from codes that were learned without labels.

An encoder is trained on images alone. A linear probe of each attribute is then fitted on codes of training
images and scored on held-out images, compared with PCA of the same dimension.

    python examples/probe_attributes.py --data FOLDER --seconds 180 --out out
"""

import matplotlib
import numpy as np
import pandas as pd
from _data import fitted_encoder, load_faces, parse_options, save_figures
from sklearn.decomposition import PCA

from dmzrep.plotting import ProbeDisplay
from dmzrep.probing import probe_report

N_LABELLED = 4000


def main() -> None:
    matplotlib.use("Agg")
    options = parse_options(__doc__.splitlines()[0], seconds=180)
    data = load_faces(options.data, n_train=options.images)
    encoder = fitted_encoder(options, data.X_train)

    train, Y_train = data.X_train[:N_LABELLED], data.Y_train[:N_LABELLED]
    X = np.concatenate([train, data.X_test])
    Y = pd.concat([Y_train, data.Y_test], ignore_index=True)
    split = np.repeat(["train", "test"], [len(train), len(data.X_test)])
    Z = encoder.transform(X)
    pca = PCA(Z.shape[1], random_state=options.seed).fit(flat(data.X_train[:N_LABELLED]))
    components = pca.transform(flat(X))
    report = probe_report(
        Z > 0.5,
        Y,
        protocol="holdout",
        split=split,
        scoring=["roc_auc", "average_precision", "balanced_accuracy"],
        baselines={"probabilities": Z, "PCA signs": components > 0, "PCA floats": components},
        name="bits",
        random_state=0,
    )
    print(f"\nLinear probes of {Y.shape[1]} attributes, {len(train)} labels, mean over attributes")
    scores = ["roc_auc", "average_precision", "balanced_accuracy"]
    means = report.groupby("representation", sort=False)[scores].mean()
    print(means.to_string(float_format="{:.3f}".format))
    bits = report[report["representation"] == "bits"].set_index("attribute")["roc_auc"].sort_values()
    print(f"\nBest by bits: {listed(bits[::-1][:5])}.")
    print(f"Worst: {listed(bits[:5])}.\n")
    save_figures(options.out, probes=ProbeDisplay(report).plot())


def flat(images: np.ndarray) -> np.ndarray:
    return images.reshape(len(images), -1) / np.float32(255)


def listed(scores: pd.Series) -> str:
    return ", ".join(f"{name} {score:.2f}" for name, score in scores.items())


if __name__ == "__main__":
    main()

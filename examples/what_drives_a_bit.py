"""Attribute bits to pixels, measure their effect on decoded images, and relate them to attributes.

python examples/what_drives_a_bit.py --data FOLDER --seconds 180 --out out
"""

import matplotlib
import numpy as np
from _data import fitted_encoder, load_faces, parse_options, save_figures
from sklearn.utils import Bunch

from dmzrep import DMZEncoder
from dmzrep.attribution import attribute_bits, bit_effects, bit_table
from dmzrep.plotting import BitDisplay, BitTableDisplay, ImageGridDisplay
from dmzrep.plotting._bits import overlay
from dmzrep.probing import LinearProbe

N_CODES = 2000
N_DECODED = 4
N_SHOWN = 6


def main() -> None:
    matplotlib.use("Agg")
    options = parse_options(__doc__.splitlines()[0], seconds=180)
    data = load_faces(options.data, n_train=options.images)
    encoder = fitted_encoder(options, data.X_train)
    mean = data.X_train.mean(axis=0)
    Z = encoder.transform(data.X_test[:N_CODES])
    Y = data.Y_test[:N_CODES]
    Y = Y.loc[:, Y.nunique() == 2]

    effects = bit_effects(encoder, Z[:N_DECODED], n_steps=10, random_state=options.seed).table
    pairs = bit_table(Z, Y)
    best = pairs.loc[pairs.groupby("bit")["mutual_information"].idxmax()].set_index("bit")
    table = effects.join(best, on="bit")
    table["attribute"] = table["sign"].map({1: "", -1: "not ", 0: "? "}) + table["attribute"]
    columns = ["bit", "change", "area", "row", "column", "attribute", "auroc", "mutual_information"]
    print("\nThe bits that change images most, where, and the attribute that each is most informative about")
    print(table[columns].head(10).to_string(index=False, float_format="{:.2f}".format), "\n")

    # Of the attributes that are neither rare nor common, the one that codes predict best.
    train = encoder.transform(data.X_train[:N_CODES])
    common = Y.columns[Y.mean().between(0.1, 0.9)]
    probe = LinearProbe().fit(train, data.Y_train[common][:N_CODES])
    right = (probe.predict(Z) == Y[common]).mean() - np.maximum(Y[common].mean(), 1 - Y[common].mean())
    attribute = right.idxmax()
    print(f"Pixels of {attribute!r}, by a linear probe: attribute.png\n")
    image = data.X_test[0]
    save_figures(
        options.out,
        bits=BitDisplay.from_estimator(encoder, image, baseline=mean, random_state=options.seed),
        bits_and_attributes=BitTableDisplay(bit_table(Z, Y)).plot(),
        attribute=attribute_figure(encoder, data, probe, attribute, mean),
        distance=distance_figure(encoder, data.X_test, Z),
    )


def attribute_figure(
    encoder: DMZEncoder, data: Bunch, probe: LinearProbe, attribute: str, mean: np.ndarray
) -> ImageGridDisplay:
    """Draw images with the attribute and, by two methods, the pixels for it (red) and against it (blue)."""
    X = data.X_test[np.flatnonzero(data.Y_test[attribute])[:N_SHOWN]]
    rows = [X / 255]
    for method in ("integrated_gradients", "occlusion"):
        found = attribute_bits(encoder, X, probe, attribute=attribute, method=method, baseline=mean)
        rows.append(overlay(X / 255, found.maps.sum(axis=-1), signed=True))
    captions = [[""] * len(X), [f"{score:+.1f}" for score in found.scores], [""] * len(X)]
    return ImageGridDisplay(
        np.stack(rows),
        title=f"Evidence for {attribute}",
        row_labels=["image", "integrated\ngradients", "occlusion"],
        captions=captions,
        note="red: for, blue: against; below: log-odds",
    ).plot()


def distance_figure(encoder: DMZEncoder, X: np.ndarray, Z: np.ndarray) -> ImageGridDisplay:
    """Draw pairs of images, and the pixels of the second that distinguish its code from the first's."""
    pairs = X[:N_SHOWN], X[N_SHOWN : 2 * N_SHOWN]
    found = attribute_bits(encoder, pairs[1], "distance", reference=pairs[0])
    apart = ((Z[:N_SHOWN] > 0.5) != (Z[N_SHOWN : 2 * N_SHOWN] > 0.5)).sum(axis=1)
    return ImageGridDisplay(
        np.stack(
            [*(pair / 255 for pair in pairs), overlay(pairs[1] / 255, found.maps.sum(axis=-1), signed=True)]
        ),
        title="Differences between two codes",
        row_labels=["first", "second", "pixels"],
        captions=[[""] * N_SHOWN, [f"{count} bits" for count in apart], [""] * N_SHOWN],
        note="red: increases the distance between the codes",
    ).plot()


if __name__ == "__main__":
    main()

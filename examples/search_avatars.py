"""Search thousands of images by a few bits per image.

Codes of 64 bits are 8 bytes per image. The search for the nearest codes by Hamming distance is exact;
metadata are returned with the results and can filter them.

    python examples/search_avatars.py --data FOLDER --seconds 180 --out out
"""

import time

import matplotlib
import numpy as np
import pandas as pd
from _data import fitted_encoder, load_faces, parse_options, save_figures

from dmzrep.plotting import NeighborsDisplay
from dmzrep.retrieval import ImageRetriever

K = 8
N_QUERIES = 500
N_SHOWN = 6


def main() -> None:
    matplotlib.use("Agg")
    options = parse_options(__doc__.splitlines()[0], seconds=180)
    data = load_faces(options.data, n_train=options.images)
    encoder = fitted_encoder(options, data.X_train)

    started = time.perf_counter()
    retriever = ImageRetriever(encoder).fit(data.X_train, metadata=data.Y_train)
    encoded = time.perf_counter()
    queries, wanted = data.X_test[:N_QUERIES], data.Y_test[:N_QUERIES]
    result = retriever.query(queries, K)
    searched = time.perf_counter()
    n, latent_dim = len(data.X_train), encoder.latent_dim
    print(f"\n{n} images became {latent_dim // 8} bytes each in {encoded - started:.1f} seconds;")
    print(f"{len(queries)} queries were encoded and answered in {searched - encoded:.2f} seconds.\n")

    print("Share of neighbours that have an attribute of the query (chance: share of all images)")
    print(agreement(result, wanted, data.Y_train).to_string(float_format="{:.3f}".format), "\n")

    # The same search among images without the rarest attribute of the first query.
    rare = data.Y_train.mean()[wanted.iloc[0] == 1].idxmin()
    drawn = {"k": K, "max_queries": N_SHOWN}
    save_figures(
        options.out,
        neighbors=NeighborsDisplay.from_retriever(retriever, queries, data.X_train, **drawn),
        neighbors_narrowed=NeighborsDisplay.from_retriever(
            retriever, queries, data.X_train, where=f"{rare} == 0", **drawn
        ),
    )


def agreement(result: pd.DataFrame, wanted: pd.DataFrame, population: pd.DataFrame) -> pd.DataFrame:
    """Return how often neighbours share an attribute of the query, for the eight that exceed chance most."""
    asked = wanted.to_numpy()[result["query"]] == 1
    found = result[list(wanted.columns)].to_numpy() == 1
    share = (asked & found).sum(axis=0) / np.maximum(asked.sum(axis=0), 1)
    table = pd.DataFrame({"neighbours": share, "chance": population.mean()}, index=wanted.columns)
    table["times"] = table["neighbours"] / table["chance"]
    return table.sort_values("times", ascending=False).head(8)


if __name__ == "__main__":
    main()

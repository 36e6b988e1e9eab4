"""Choose the code length with GridSearchCV, with the fits distributed over Dask workers.

The search is scikit-learn's own: joblib's "dask" backend sends each fit to a worker. Fits end after a number
of epochs rather than seconds, so that the scores are the same as in one process, which is checked.

    python examples/grid_search_with_dask.py --workers 4 --epochs 20 --out out
"""

import time
import warnings
from argparse import ArgumentParser, Namespace
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import torch
from dask.distributed import Client, LocalCluster
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from dmzrep import DMZEncoder
from dmzrep.datasets import load_digits_images
from dmzrep.errors import CodeWarning

LATENT_DIMS = (8, 16, 32, 64)


def main() -> None:
    options = parse_options()
    # Unused bits are expected after a short training.
    warnings.simplefilter("ignore", CodeWarning)
    # One thread, as in Dask workers: sums over several threads may differ in the last bit.
    torch.set_num_threads(1)
    X, y = (part[: options.images] for part in load_digits_images(return_X_y=True))
    encoder = DMZEncoder(max_iter=options.epochs, random_state=options.seed)
    pipeline = make_pipeline(encoder, LogisticRegression(max_iter=1000))
    grid = {"dmzencoder__latent_dim": list(LATENT_DIMS)}
    # The best estimator is not refitted: this takes as long with Dask as without.
    search = GridSearchCV(pipeline, grid, cv=2, refit=False)
    print(f"{len(X)} digits: {2 * len(LATENT_DIMS)} fits of {options.epochs} epochs.")

    alone, seconds_alone = searched(search, X, y)
    cluster = LocalCluster(n_workers=options.workers, threads_per_worker=1, dashboard_address=None)
    # joblib uses the client that was created last.
    with cluster, Client(cluster), joblib.parallel_config(backend="dask"):
        together, seconds_together = searched(search, X, y)

    table = together[["param_dmzencoder__latent_dim", "mean_test_score", "std_test_score", "mean_fit_time"]]
    table.columns = ["latent_dim", "accuracy", "spread", "seconds"]
    print(f"\n{table.to_string(index=False, float_format='{:.3f}'.format)}\n")
    print(
        f"{seconds_alone:.1f} seconds in one process, {seconds_together:.1f} with {options.workers} workers:"
    )
    print(f"{seconds_alone / seconds_together:.2f} times as fast.")
    scores = [name for name in together if name.endswith("test_score")]
    same = together[scores].equals(alone[scores])
    print(f"The scores are {'identical' if same else 'NOT IDENTICAL'}.")
    options.out.mkdir(parents=True, exist_ok=True)
    path = options.out / "grid_search_with_dask.csv"
    table.to_csv(path, index=False)
    print(f"Saved {path}")


def searched(search: GridSearchCV, X: np.ndarray, y: np.ndarray) -> tuple[pd.DataFrame, float]:
    """Return the results of a search and its duration in seconds."""
    begun = time.perf_counter()
    search.fit(X, y)
    return pd.DataFrame(search.cv_results_), time.perf_counter() - begun


def parse_options() -> Namespace:
    parser = ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=1797, help="most images (default: 1797)")
    parser.add_argument("--epochs", type=int, default=5, help="epochs of each fit (default: 5)")
    parser.add_argument(
        "--workers", type=int, default=2, help="worker processes, each with one thread (default: 2)"
    )
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder for the table (default: out)")
    parser.add_argument("--seed", type=int, default=0, help="random seed (default: 0)")
    return parser.parse_args()


# Workers start as new Python processes that import this file.
if __name__ == "__main__":
    main()

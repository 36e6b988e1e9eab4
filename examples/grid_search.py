"""Choose the code length with GridSearchCV, and compare code lengths by several criteria.

The encoder is a step of a pipeline, so the grid can include its parameters; scikit-learn's progress bars
show the whole search. The second part compares code lengths by probes, likelihood and reconstruction.

    python examples/grid_search.py --data FOLDER --seconds 20 --out out
"""

import warnings

import matplotlib
import pandas as pd
from _data import load_faces, parse_options, save_figures
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from dmzrep import DMZEncoder
from dmzrep.errors import CodeWarning
from dmzrep.model_selection import latent_dim_report
from dmzrep.plotting import LatentDimDisplay

LATENT_DIMS = (8, 32, 128)
#: The attribute to predict, by the name of the data: hard enough that code lengths differ.
TARGETS = {"faces": "eyeglasses", "sprites": "clockwise"}


def main() -> None:
    matplotlib.use("Agg")
    options = parse_options(__doc__.splitlines()[0], seconds=20, images=4000)
    data = load_faces(options.data, n_train=options.images)
    # Unused bits are expected after a short training.
    warnings.simplefilter("ignore", CodeWarning)
    target = TARGETS[data.name]
    encoder = DMZEncoder(max_time=options.seconds, max_iter=10_000, random_state=options.seed)

    pipeline = make_pipeline(encoder, LogisticRegression(max_iter=1000))
    grid = {"dmzencoder__latent_dim": list(LATENT_DIMS)}
    search = GridSearchCV(pipeline, grid, cv=2, scoring="roc_auc")
    show_progress(search)
    search.fit(data.X_train, data.Y_train[target])
    found = pd.DataFrame(search.cv_results_)
    table = found[["param_dmzencoder__latent_dim", "mean_test_score", "std_test_score", "mean_fit_time"]]
    table.columns = ["latent_dim", "AUROC", "spread", "seconds"]
    print(f"\n{target!r} by a pipeline of DMZEncoder and LogisticRegression, 2-fold cross-validation")
    print(table.to_string(index=False, float_format="{:.3f}".format))
    score = search.score(data.X_test, data.Y_test[target])
    print(f"The best, fitted on all {len(data.X_train)} images: {score:.3f} on {len(data.X_test)} others.\n")

    report = latent_dim_report(
        data.X_train, data.Y_train, latent_dims=LATENT_DIMS, encoder=encoder, max_samples=256, verbose=1
    )
    print(f"\nAll {data.Y_train.shape[1]} attributes, likelihood and reconstruction")
    print(report.to_string(index=False, float_format="{:.3f}".format), "\n")
    save_figures(options.out, code_lengths=LatentDimDisplay(report).plot())


def show_progress(search: GridSearchCV) -> None:
    """Set scikit-learn's progress bars, which need the package rich."""
    try:
        import rich  # noqa: F401
        from sklearn.callback import ProgressBar
    except ImportError:
        print("Install rich to see progress bars.")
        return
    search.set_callbacks(ProgressBar())


if __name__ == "__main__":
    main()

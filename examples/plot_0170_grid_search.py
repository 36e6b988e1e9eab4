"""
Search parameters in a pipeline
===============================

:class:`~dmzrep.DMZEncoder` is a scikit-learn transformer. ``GridSearchCV`` can therefore choose its
parameters together with those of the classifier behind it.
"""

# %%
# A pipeline of encoder and classifier
# ------------------------------------
#
# In each split, the encoder is trained on the training images of that split, so that the scores are not
# biased. ``max_iter`` bounds the training in epochs. With ``max_iter`` and ``random_state``, scores can be
# reproduced; with ``max_time``, they depend on the speed of the machine.

from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from dmzrep import DMZEncoder
from dmzrep.datasets import load_digits_images

X, y = load_digits_images(return_X_y=True)
pipeline = make_pipeline(DMZEncoder(max_iter=2, random_state=0), LogisticRegression(max_iter=2000))
pipeline

# %%
# The grid
# --------
#
# Parameters of a step are prefixed with its name. Those of groups are nested more deeply, such as
# ``dmzencoder__training__temperature``.

import warnings

from sklearn.model_selection import GridSearchCV

from dmzrep.errors import CodeWarning

warnings.simplefilter("ignore", CodeWarning)  # After a short training some bits are unused.
grid = {
    "dmzencoder__latent_dim": [8, 32, 128],
    "logisticregression__C": [0.1, 1.0, 10.0],
}
search = GridSearchCV(pipeline, grid, cv=2, refit=False)

# %%
# The encoder does not depend on ``C``. ``memory`` of the pipeline keeps fitted encoders, so that each is
# trained once for all values of ``C``.

from tempfile import mkdtemp

search.estimator.set_params(memory=mkdtemp())
search.fit(X, y)

# %%
# Results
# -------

import matplotlib.pyplot as plt
import pandas as pd

results = pd.DataFrame(search.cv_results_).rename(columns=lambda name: name.rpartition("__")[2])
figure, ax = plt.subplots(figsize=(6.5, 3.8), layout="constrained")
for latent_dim, scores in results.groupby("latent_dim"):
    mean, spread = scores["mean_test_score"], scores["std_test_score"]
    ax.errorbar(scores["C"].astype(float), mean, yerr=spread, fmt="o-", capsize=3, label=f"{latent_dim} bits")
ax.set(xscale="log", xlabel="C of the classifier", ylabel="Accuracy, 2-fold cross-validation")
ax.legend(frameon=False)
plt.show()

# %%
# The best parameters:

print(search.best_params_, f"accuracy {search.best_score_:.3f}")

# %%
# To learn codes from unlabelled images too, fit the encoder beforehand, as in the example on few labels.
# ``grid_search_with_dask.py`` distributes such a search over several machines.

"""
Choose the number of bits
=========================

Long codes keep more of an image; short codes need less memory and are easier to model.
:func:`~dmzrep.model_selection.latent_dim_report` trains one encoder for each length and compares them on
held-out images.
"""

# %%
# A report
# --------
#
# A few epochs per length are enough for digits of 8 x 8 pixels. ``memory="cache"`` would store the
# results of finished lengths, so that a long comparison can be interrupted.

import warnings

from dmzrep import DMZEncoder
from dmzrep.datasets import load_digits_images
from dmzrep.errors import CodeWarning
from dmzrep.model_selection import latent_dim_report

warnings.simplefilter("ignore", CodeWarning)  # After a short training some bits are unused.
X, y = load_digits_images(return_X_y=True)
report = latent_dim_report(
    X,
    y,
    latent_dims=(4, 16, 64),
    encoder=DMZEncoder(max_iter=4, prior="chow_liu"),
    objectives=("accuracy", "latent_dim"),
    max_samples=40,
    random_state=0,
)
report.round(3)

# %%
# "accuracy" is that of a linear classifier of the bits, "reconstruction_error" the mean squared error of
# images decoded from the bits, and "bits_per_dim" the variational bound on the negative log-likelihood, code
# included. A length is on the Pareto front if no shorter code is at least as accurate.

import matplotlib.pyplot as plt

from dmzrep.plotting import LatentDimDisplay

figure, axes = plt.subplots(1, 2, figsize=(8.5, 3.4), layout="constrained")
for ax, column in zip(axes, ("accuracy", "reconstruction_error"), strict=True):
    LatentDimDisplay(report, x="latent_dim", y=column).plot(ax)
    ax.set(title="", xscale="log")
    ax.set_xticks(report["latent_dim"], report["latent_dim"])
    ax.minorticks_off()
    ax.get_legend().remove()

# %%
# One encoder for several lengths
# -------------------------------
#
# With ``ordered=True``, the first bits are a code on their own, with the most important bits first. A single
# training then serves all lengths. The rows are reconstructions of the same digits from the first bits of one
# code.

import numpy as np

from dmzrep.plotting import ImageGridDisplay

encoder = DMZEncoder(64, ordered=True, max_iter=5, prior="chow_liu", random_state=0).fit(X[10:])
rows = {"original": X[:10]}
for n_bits in (8, 16, 32, 64):
    rows[f"{n_bits} bits"] = encoder.reconstruct(X[:10], n_bits=n_bits, random_state=0)
ImageGridDisplay(np.stack(list(rows.values())) / 255, row_labels=list(rows)).plot()
plt.show()

"""
Which attributes a code contains
================================

A linear classifier, or probe, for each attribute shows what can be read off a code that was learned without
labels.
"""

# %%
# The encoder of the first example is loaded, or trained if there is no file.

from pathlib import Path

from dmzrep import DMZEncoder
from dmzrep.datasets import load_avatars

X, Y = load_avatars(return_X_y=True)
X_train, X_test, Y_train, Y_test = X[:3500], X[3500:], Y[:3500], Y[3500:]

if Path("avatars.safetensors").exists():
    encoder = DMZEncoder.load("avatars.safetensors")
else:  # Trains for five minutes.
    encoder = DMZEncoder(128, max_time=300, random_state=0).fit(X_train)
    encoder.save("avatars.safetensors")

# %%
# Probes
# ------
#
# :func:`~dmzrep.probing.probe_report` fits a logistic regression of each attribute to the codes of the
# training images, and scores it on held-out images. The baselines are the first 128 principal components of
# the pixels, as numbers and as bits. Attributes of fewer than a tenth of the images are left out.

import numpy as np
import pandas as pd
from sklearn.decomposition import PCA

from dmzrep.probing import probe_report

codes = encoder.transform(X)
pixels = X.reshape(len(X), -1) / 255
components = PCA(encoder.latent_dim, random_state=0).fit(pixels[:3500]).transform(pixels)
report = probe_report(
    codes > 0.5,
    Y.loc[:, Y.mean() > 0.1],
    protocol="holdout",
    split=np.repeat(["train", "test"], [3500, 500]),
    scoring=["roc_auc", "average_precision"],
    baselines={"signs of PCA": components > 0, "PCA": components},
    name="bits",
    random_state=0,
)
report.groupby("representation", sort=False)[["roc_auc", "average_precision"]].mean().round(3)

# %%
# One dot per attribute and representation. Attributes that change many pixels, such as skin and hats, are
# easier to predict than those that change few, such as closed eyes.

import matplotlib.pyplot as plt

from dmzrep.plotting import ProbeDisplay

ProbeDisplay(report).plot()

# %%
# The attributes that gain and lose most
# --------------------------------------
#
# On spatially aligned images, such as these faces, the values of principal components are hard to beat. For
# bits, their signs are the fairer baseline:

scores = report.pivot(index="attribute", columns="representation", values="roc_auc")
gain = (scores["bits"] - scores["signs of PCA"]).sort_values()
print(f"{(gain > 0).mean():.0%} of the attributes gain, {gain.mean():+.3f} AUROC on average.")
pd.concat([gain.tail(3)[::-1], gain.head(3)]).rename("AUROC gained").to_frame().round(3)

# %%
plt.show()

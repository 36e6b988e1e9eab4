"""
Classify with few labels
========================

Codes are learned without labels, from all images. A classifier of codes then needs only the few images that
have labels.
"""

# %%
# The encoder
# -----------
#
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
# A classifier from 100 labels
# ----------------------------
#
# :class:`sklearn.frozen.FrozenEstimator` keeps ``fit`` of the pipeline from training the encoder again on the
# 100 labelled images alone.

from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.pipeline import make_pipeline

classifier = make_pipeline(
    FrozenEstimator(encoder), LogisticRegression(max_iter=1000, class_weight="balanced")
)
classifier.fit(X_train[:100], Y_train["long_hair"][:100])
score = balanced_accuracy_score(Y_test["long_hair"], classifier.predict(X_test))
print(f"Balanced accuracy of 'long_hair' on held-out images: {score:.3f}")

# %%
# The pipeline classifies images. Probabilities are green where the predicted class is right, red where it is
# wrong:

import matplotlib.pyplot as plt

probability = classifier.predict_proba(X_test[:24])[:, 1]
figure, axes = plt.subplots(3, 8, figsize=(8, 3.7), layout="constrained")
for ax, image, value, label in zip(axes.flat, X_test, probability, Y_test["long_hair"], strict=False):
    ax.imshow(image)
    ax.set_title(f"{value:.2f}", fontsize=9, color="C2" if (value > 0.5) == label else "C3", pad=2)
    ax.axis("off")
figure.suptitle("Probability of long hair, from 100 labels")

# %%
# Score against number of labels
# ------------------------------
#
# :func:`~dmzrep.probing.label_efficiency` draws labelled images several times for each number of labels, fits
# a linear classifier for each attribute, and returns the mean score over attributes. The baselines are the
# first 128 principal components of the pixels, as numbers and as bits.

from sklearn.decomposition import PCA

from dmzrep.plotting import LabelEfficiencyDisplay
from dmzrep.probing import label_efficiency

attributes = ["long_hair", "smiling", "eyeglasses", "hat", "beard", "dark_skin", "blazer", "mouth_open"]
pixels_train, pixels_test = (images.reshape(len(images), -1) / 255 for images in (X_train, X_test))
pca = PCA(encoder.latent_dim, random_state=0).fit(pixels_train)
components = pca.transform(pixels_train), pca.transform(pixels_test)
curve = label_efficiency(
    encoder.transform(X_train) > 0.5,
    Y_train[attributes],
    encoder.transform(X_test) > 0.5,
    Y_test[attributes],
    fractions=(50, 100, 300, 1000, 3500),
    n_repeats=3,
    scoring="roc_auc",
    name="bits of the code",
    baselines={"PCA": components, "signs of PCA": tuple(values > 0 for values in components)},
    random_state=0,
)
LabelEfficiencyDisplay(curve).plot()
plt.show()

# %%
# Principal components are hard to beat where images are spatially aligned, as these faces are: compare with
# them. They are 128 floating-point numbers per image, whereas the bits of a code take 16 bytes.

# sphinx_gallery_thumbnail_number = 1

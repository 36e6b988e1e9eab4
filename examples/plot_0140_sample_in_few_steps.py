"""
New images in few steps
=======================

``sample`` draws codes from a prior and decodes them by diffusion. As the code already fixes most of the
image, few denoising steps are enough.
"""

# %%
# The encoder of the first example is loaded, or trained if there is no file.

from pathlib import Path

from dmzrep import DMZEncoder
from dmzrep.datasets import load_avatars

X, Y = load_avatars(return_X_y=True)
X_train, X_test = X[:3500], X[3500:]

if Path("avatars.safetensors").exists():
    encoder = DMZEncoder.load("avatars.safetensors")
else:  # Trains for five minutes.
    encoder = DMZEncoder(128, max_time=300, random_state=0).fit(X_train)
    encoder.save("avatars.safetensors")

# %%
# Samples
# -------

from dmzrep.plotting import SampleDisplay

SampleDisplay.from_estimator(encoder, 40, n_columns=10, n_steps=20, sampler="dpm++", random_state=0)

# %%
# The number of steps
# -------------------
#
# Each column has the same code and the same noise. ``dpm++`` is a second-order solver.

import time

import numpy as np

from dmzrep.plotting import ImageGridDisplay

steps = (1, 2, 5, 10, 20, 50)
rows, seconds = [], []
for n_steps in steps:
    start = time.perf_counter()
    rows.append(encoder.sample(10, n_steps=n_steps, sampler="dpm++", random_state=1))
    seconds.append(time.perf_counter() - start)
labels = ["1 step", *(f"{n} steps" for n in steps[1:])]
ImageGridDisplay(np.stack(rows) / 255, title="Samples by dpm++", row_labels=labels).plot()

# %%
# How soon samplers agree with many steps
# ---------------------------------------
#
# Deterministic samplers converge to the same trajectory as the number of steps grows. The distance of their
# images from those of 100 steps shows how many are needed.

import matplotlib.pyplot as plt

codes = encoder.transform(X_test[:12]) > 0.5
reference = encoder.inverse_transform(codes, n_steps=100, sampler="ddim", random_state=0).astype(float)
figure, ax = plt.subplots(figsize=(6, 3.6), layout="constrained")
for sampler in ("ddim", "dpm++", "heun"):
    errors = [
        encoder.inverse_transform(codes, n_steps=n, sampler=sampler, random_state=0) - reference
        for n in (2, 5, 10, 20)
    ]
    ax.plot((2, 5, 10, 20), [np.sqrt(np.mean(error**2)) for error in errors], "o-", label=sampler)
ax.set(xlabel="Steps", ylabel="RMS distance from 100 steps (0 to 255)", ylim=(0, None))
ax.set_xticks([2, 5, 10, 20])
ax.legend(frameon=False)
plt.show()

# %%
# Implausible combinations of attributes are more often due to the code than to the number of steps: see the
# example on priors.

print({n: f"{value:.2f} s" for n, value in zip(steps, seconds, strict=True)})

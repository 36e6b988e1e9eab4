"""Interpolate between images through their codes.

Each path leads from the code of one image to that of another; all images of a path are decoded from the same
noise. The smooth path always flips the bit that results in the most probable code.

    python examples/walk_between_faces.py --data FOLDER --seconds 180 --out out
"""

import matplotlib
import numpy as np
from _data import fitted_encoder, load_faces, parse_options, save_figures

from dmzrep.editing import interpolate
from dmzrep.plotting import InterpolationDisplay

N_WALKS, N_STEPS = 4, 9
PATHS = ("ordered", "random", "smooth", "soft")


def main() -> None:
    matplotlib.use("Agg")
    options = parse_options(__doc__.splitlines()[0], seconds=180)
    data = load_faces(options.data, n_train=options.images)
    encoder = fitted_encoder(options, data.X_train, latent_dim=128)
    x0, x1 = data.X_test[:N_WALKS], data.X_test[N_WALKS : 2 * N_WALKS]
    print("\nChange of the image per step (root mean square of pixels, 0 to 255)")
    for path in PATHS:
        images = interpolate(encoder, x0, x1, N_STEPS, path=path, random_state=options.seed)[0].astype(float)
        steps = np.sqrt((np.diff(images, axis=1) ** 2).mean(axis=(2, 3, 4)))
        print(f"{path:8s} mean {steps.mean():5.1f}, longest {steps.max(axis=1).mean():5.1f}")
    print()
    save_figures(
        options.out,
        walks=InterpolationDisplay.from_estimator(encoder, x0, x1),
        walks_by_path=InterpolationDisplay.from_estimator(encoder, x0[:2], x1[:2], path=PATHS),
        walks_from_noised_images=InterpolationDisplay.from_estimator(encoder, x0, x1, strength=0.8),
    )


if __name__ == "__main__":
    main()

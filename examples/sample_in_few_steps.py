"""Sample new images in 1 to 100 denoising steps, with codes from the fitted prior and a uniform prior.

Each column of the first figure has the same code and noise for all numbers of steps. In the second, the same
noise is decoded with codes from both priors. Tables show the rates of codes and images in bits.

    python examples/sample_in_few_steps.py --data FOLDER --seconds 300 --out out
"""

import matplotlib
import numpy as np
from _data import fitted_encoder, load_faces, parse_options

from dmzrep.plotting import ImageGridDisplay
from dmzrep.priors import prior_gap

N_SHOWN, STEPS = 10, (1, 2, 5, 10, 20, 50, 100)


def main() -> None:
    matplotlib.use("Agg")
    options = parse_options(__doc__.splitlines()[0], seconds=300)
    data = load_faces(options.data, n_train=options.images)
    encoder = fitted_encoder(options, data.X_train)
    options.out.mkdir(parents=True, exist_ok=True)

    rows = [encoder.sample(N_SHOWN, n_steps=n, random_state=options.seed) for n in STEPS]
    save(options.out / "steps.png", rows, [f"{n} step{'s' if n > 1 else ''}" for n in STEPS])

    priors = {f"fitted ({encoder.prior_.name})": None, "uniform": "uniform"}
    rows = [encoder.sample(N_SHOWN, prior=prior, random_state=options.seed) for prior in priors.values()]
    save(options.out / "priors.png", rows, list(priors))

    codes = encoder.transform(data.X_train[:10_000]) > 0.5
    print("\nCross-entropy of held-out codes under the priors, and AUC of draws against codes (0.5 is ideal)")
    print(
        prior_gap(codes, (encoder.prior_.name, "uniform"), random_state=0).to_string(
            float_format="{:.3f}".format
        )
    )
    print(
        "\nBits per dimension of 100 test images (large for the image given its code after a short training)"
    )
    print(encoder.bits_per_dim(data.X_test[:100]).to_string(float_format="{:.4f}".format))


def save(path, rows: list[np.ndarray], labels: list[str]) -> None:
    """Save rows of images with their labels."""
    ImageGridDisplay(np.stack(rows) / 255, row_labels=labels).plot().figure_.savefig(path, dpi=120)
    print(f"Saved {path}")


if __name__ == "__main__":
    main()

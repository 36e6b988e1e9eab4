"""Add and remove attributes of images through codes that were learned without labels.

An encoder is trained on images alone. A direction in code space is then fitted to labels of each attribute.
To edit an image, as few bits as possible are flipped to change the attribute, and the code is decoded.

    python examples/edit_attributes.py --data FOLDER --seconds 180 --out out
"""

import matplotlib
import numpy as np
from _data import fitted_encoder, load_faces, parse_options, save_figures

from dmzrep.editing import AttributeEditor, edit_summary
from dmzrep.plotting import EditDisplay

N_LABELLED, N_EDITED = 4000, 32
ATTRIBUTES = {"faces": ("smiling", "eyeglasses", "beard"), "sprites": ("warm", "large", "low")}
#: An attribute to change, and one that correlates with it.
HELD = {"faces": ("beard", "long_hair"), "sprites": ("warm", "red")}


def main() -> None:
    matplotlib.use("Agg")
    options = parse_options(__doc__.splitlines()[0], seconds=180)
    data = load_faces(options.data, n_train=options.images)
    encoder = fitted_encoder(options, data.X_train, latent_dim=128)
    editor = AttributeEditor(encoder).fit(data.X_train[:N_LABELLED], data.Y_train[:N_LABELLED])
    X, figures = data.X_test[:N_EDITED], {}
    for attribute in ATTRIBUTES[data.name]:
        images, codes = editor.edit(X, attribute, random_state=options.seed)
        report = editor.report(X, images, codes, attribute)
        print(f'\n"{attribute}" added to {len(X)} images, by the probes, from the codes of the edited images')
        columns = ["before", "after", "reencoded", "changed_reencoded"]
        print(edit_summary(report)[columns].head(4).to_string(float_format="{:.2f}".format))
        flips, distance = report.groupby("image")[["bits_flipped", "distance"]].first().mean()
        print(f"{flips:.1f} of {codes.shape[1]} bits flipped; pixels changed by {distance:.1f} of 255.")
        figures[f"edit_{attribute}"] = EditDisplay.from_estimator(editor, X, attribute)
    print_held(editor, X, *HELD[data.name])
    save_figures(options.out, **figures)


def print_held(editor: AttributeEditor, X: np.ndarray, attribute: str, held: str) -> None:
    """Print how an edit changes when a correlated attribute is held fixed."""
    print(f'\n"{attribute}" added; mean probability of "{attribute}" and of "{held}" under the codes')
    for hold in ((), (held,)):
        images, codes = editor.edit(X, attribute, hold=hold, random_state=0)
        means = edit_summary(editor.report(X, images, codes, attribute, hold=hold))
        before, after = means.loc[[attribute, held], "before"], means.loc[[attribute, held], "after"]
        name = f'"{held}" held' if hold else "nothing held"
        changes = (f"{old:.2f} -> {new:.2f}" for old, new in zip(before, after, strict=True))
        print(f"{name:22s} {', '.join(changes)}")
    print()


if __name__ == "__main__":
    main()

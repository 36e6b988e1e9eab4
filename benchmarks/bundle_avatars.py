"""Write the file that `dmzrep.datasets.load_avatars` reads: the first 4,000 training images of avatars64.npz.

That file was drawn with the npm packages @dicebear/core and @dicebear/collection 9.4.3 (style avataaars) and
@resvg/resvg-js 2.6.2.

    python -m benchmarks.bundle_avatars --data FOLDER
"""

import zipfile
from argparse import ArgumentParser
from pathlib import Path

import numpy as np

from benchmarks.datasets import load_avatars

TARGET = Path(__file__).parent.parent / "dmzrep" / "datasets" / "data" / "avatars.npz"
N_IMAGES = 4000


def main() -> None:
    parser = ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with avatars64.npz")
    data = load_avatars(parser.parse_args().data, side=32)
    attributes = data.train_labels[:N_IMAGES]
    arrays = {
        "images": data.train[:N_IMAGES],
        "attributes": attributes.to_numpy(np.uint8),
        "attribute_names": np.array(attributes.columns, dtype=np.str_),
    }
    # np.load reads members of any compression; deflate, which np.savez_compressed uses, makes a larger file.
    with zipfile.ZipFile(TARGET, "w") as target:
        for name, array in arrays.items():
            member = zipfile.ZipInfo(f"{name}.npy")  # Its date is fixed, so that equal data make equal files.
            member.compress_type = zipfile.ZIP_LZMA
            with target.open(member, "w") as file:
                np.lib.format.write_array(file, array, allow_pickle=False)
    print(f"{TARGET}: {TARGET.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()

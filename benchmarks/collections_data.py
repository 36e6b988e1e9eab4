"""A folder of pictures of mixed kinds and sizes with planted copies, and the list of what was planted.

    python -m benchmarks.collections_data FOLDER --data DATA [--pictures 4000] [--copies 50] [--seed 0]

Photographs (CIFAR-10), emoji and avatars are enlarged with Lanczos to 48 to 300 pixels and saved as JPEG, PNG
or WebP in folders of months; some are grey, some transparent. Of each kind of `EDITS`, `--copies` are made
from the files of random pictures, and further files are copied byte by byte. Sources are the test images for
seed 0 and train images for other seeds; of emoji that are the same picture, or its mirror image, one is used.
The truth is written beside the folder, as FOLDER.csv, with one row per file:

| column | meaning |
| --- | --- |
| path | relative to the folder |
| original | path of the file that it was made from; empty for an original |
| kind | "original", a kind of `EDITS`, or "same_bytes" |
| source | data set |
| variant | equal for variants by nature: one emoji of one style in its skin tones and forms |
"""

from __future__ import annotations

import argparse
import io
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from PIL import Image, ImageEnhance
from scipy.ndimage import label

#: Share of each data set; photographs replace what a set has too few images for.
SHARES = {"emoji": 0.2, "avatars": 0.2}
#: Smallest and largest side in pixels.
SIDES = (48, 300)
#: Probability of each format.
FORMATS = {
    "cifar10": {"jpg": 0.7, "png": 0.15, "webp": 0.15},
    "emoji": {"jpg": 0.2, "png": 0.6, "webp": 0.2},
    "avatars": {"jpg": 0.4, "png": 0.4, "webp": 0.2},
}
#: Width divided by height.
ASPECTS = (1.0, 4 / 3, 3 / 4, 3 / 2, 2 / 3, 16 / 9, 9 / 16)
GREY, TRANSPARENT = 0.08, 0.5
N_MONTHS = 24
WHITE = (255, 255, 255)


class Source(NamedTuple):
    """An image of a data set, uint8 (height, width, 3), the name of the set, and the variant."""

    pixels: np.ndarray
    source: str
    variant: str


def load_sources(data: str | Path, n_pictures: int, seed: int) -> list[Source]:
    """Return different images in random order."""
    random, is_test = np.random.default_rng([seed, 0]), seed == 0
    part = "test" if is_test else "train"

    def different(images: Iterator[Source], n: int) -> list[Source]:
        kept: dict[str, list[np.ndarray]] = {}
        chosen: list[Source] = []
        for image in images:
            variants = kept.setdefault(image.variant, [])
            if len(chosen) < n and not any(is_same(image.pixels, other) for other in variants):
                variants.append(image.pixels)
                chosen.append(image)
        return chosen

    sources = different(_emoji(data, is_test, random), round(n_pictures * SHARES["emoji"]))
    sources += different(_avatars(data, part, random), round(n_pictures * SHARES["avatars"]))
    sources += different(_photographs(data, part, n_pictures, random), n_pictures - len(sources))
    if len(sources) < n_pictures:
        raise ValueError(
            f"the data have {len(sources)} different {part} images, got n_pictures={n_pictures}."
        )
    random.shuffle(sources)  # type: ignore[arg-type]
    return sources


def is_same(image: np.ndarray, other: np.ndarray) -> bool:
    """Return whether images, or one and the mirror image of the other, differ no more than by rounding."""
    for mirror in (other, other[:, ::-1]):
        difference = np.abs(image.astype(np.int16) - mirror)
        if difference.max() <= 35 and difference.mean() <= 0.3:
            return True
    return False


def _emoji(data: str | Path, is_test: bool, random: np.random.Generator) -> Iterator[Source]:
    with np.load(Path(data) / "emoji64.npz") as file:
        # Forms that face right are the mirror images of others.
        is_turned = np.char.endswith(file["short_name"], "facing_right")
        rows = np.flatnonzero((file["train"] != is_test) & ~is_turned)
        groups, styles = file["group_id"], {style: file[f"x_{style}"] for style in ("twitter", "google")}
    for number in random.permutation(2 * len(rows)):
        row, style = rows[number // 2], list(styles)[number % 2]
        yield Source(styles[style][row], "emoji", f"emoji {style} {groups[row]}")


def _avatars(data: str | Path, part: str, random: np.random.Generator) -> Iterator[Source]:
    with np.load(Path(data) / "avatars64.npz") as file:
        images = file[f"x_{part}"]
    yield from (Source(images[i], "avatars", f"avatars {i}") for i in random.permutation(len(images)))


def _photographs(data: str | Path, part: str, n: int, random: np.random.Generator) -> Iterator[Source]:
    with np.load(Path(data) / "cifar10_jpeg.npz") as file:
        content, offsets = file[f"jpeg_{part}"], file[f"offsets_{part}"]
    for i in random.permutation(len(offsets) - 1)[: n + 100]:
        picture = Image.open(io.BytesIO(content[offsets[i] : offsets[i + 1]].tobytes()))
        yield Source(np.asarray(picture.convert("RGB")), "cifar10", f"cifar10 {i}")


def render(source: Source, random: np.random.Generator) -> tuple[Image.Image, str]:
    """Return a picture of random size, aspect ratio and mode, and the extension of its format."""
    formats = FORMATS[source.source]
    extension = str(random.choice(list(formats), p=list(formats.values())))
    aspect = float(random.choice(ASPECTS)) if source.source == "cifar10" or random.random() < 0.3 else 1.0
    ratio = max(aspect, 1 / aspect)
    longest = random.uniform(SIDES[0] * ratio, SIDES[1])
    width, height = (round(longest * min(1.0, side)) for side in (aspect, 1 / aspect))
    picture = Image.fromarray(source.pixels)
    if source.source == "emoji":  # A drawing on white is widened, for cropping would cut it.
        side = min(width, height)
        drawing = picture.resize((side, side), Image.Resampling.LANCZOS)
        picture = Image.new("RGB", (width, height), WHITE)
        picture.paste(drawing, ((width - side) // 2, (height - side) // 2))
        if extension != "jpg" and random.random() < TRANSPARENT:
            picture = transparent(picture)
        return picture, extension
    side = picture.width
    kept = [side * min(1.0, a) for a in (aspect, 1 / aspect)]
    left, top = ((side - k) * random.random() for k in kept)
    box = (left, top, left + kept[0], top + kept[1])
    picture = picture.resize((width, height), Image.Resampling.LANCZOS, box=box)
    is_grey = source.source == "cifar10" and random.random() < GREY
    return picture.convert("L") if is_grey else picture, extension


def transparent(picture: Image.Image) -> Image.Image:
    """Make the white around a drawing transparent and black, as a picture may hide colour there."""
    pixels = np.asarray(picture)
    regions, _ = label(pixels.min(axis=2) >= 250)
    border = np.concatenate([regions[0], regions[-1], regions[:, 0], regions[:, -1]])
    is_outside = np.isin(regions, border[border > 0])
    rgba = np.dstack([pixels, np.full(is_outside.shape, 255, np.uint8)])
    rgba[is_outside] = 0
    return Image.fromarray(rgba)


def recompressed(picture: Image.Image, random: np.random.Generator) -> tuple[Image.Image, dict[str, Any]]:
    """Save as JPEG of quality 20 to 80, on white."""
    if picture.mode == "RGBA":
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, WHITE), picture).convert("RGB")
    return picture, {"format": "JPEG", "quality": int(random.integers(20, 81))}


def resized(picture: Image.Image, random: np.random.Generator) -> Image.Image:
    """Multiply both sides by 0.5 to 2."""
    factor = 2.0 ** random.uniform(-1.0, 1.0)
    size = [max(1, round(side * factor)) for side in picture.size]
    return picture.resize((size[0], size[1]), Image.Resampling.BICUBIC)


def cropped(picture: Image.Image, random: np.random.Generator) -> Image.Image:
    """Cut off 5 to 15 % of the width and of the height, at random places."""
    kept = [round(side * (1.0 - random.uniform(0.05, 0.15))) for side in picture.size]
    left, top = (int(random.integers(0, side - k + 1)) for side, k in zip(picture.size, kept, strict=True))
    return picture.crop((left, top, left + kept[0], top + kept[1]))


def rotated(picture: Image.Image, random: np.random.Generator) -> Image.Image:
    """Rotate by 2 to 8 degrees; the corners become white or black, or transparent, the size stays."""
    angle = float(random.uniform(2.0, 8.0) * random.choice([-1.0, 1.0]))
    grey = int(random.choice([0, 255]))
    fill = {"L": grey, "RGB": (grey,) * 3, "RGBA": (0, 0, 0, 0)}[picture.mode]
    return picture.rotate(angle, Image.Resampling.BICUBIC, fillcolor=fill)


def brightened(picture: Image.Image, random: np.random.Generator) -> Image.Image:
    """Multiply all values by 0.7 to 1.3, but not those of opacity."""
    return ImageEnhance.Brightness(picture).enhance(float(random.uniform(0.7, 1.3)))


def mirrored(picture: Image.Image, random: np.random.Generator) -> Image.Image:
    """Mirror left and right."""
    return picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)


EDITS: dict[str, Callable[[Image.Image, np.random.Generator], Any]] = {
    "jpeg": recompressed,
    "resize": resized,
    "crop": cropped,
    "rotation": rotated,
    "brightness": brightened,
    "mirror": mirrored,
}


def write_collection(
    folder: str | Path,
    data: str | Path,
    *,
    n_pictures: int = 4000,
    n_copies: int = 50,
    n_same_bytes: int = 20,
    seed: int = 0,
) -> pd.DataFrame:
    """Write a folder of pictures and FOLDER.csv; return the truth, one row per file.

    A folder that is there already is replaced if FOLDER.csv is beside it. Originals of copies are drawn with
    replacement, so that some have several copies.
    """
    folder = Path(folder)
    if folder.exists() and not truth_file(folder).exists():
        raise FileExistsError(f"{folder} is not a folder of this command; remove it or name another one.")
    shutil.rmtree(folder, ignore_errors=True)
    sources = load_sources(data, n_pictures, seed)
    random = np.random.default_rng([seed, 1])
    months = [f"{2023 + month // 12}-{month % 12 + 1:02}" for month in range(N_MONTHS)]
    for month in months:
        (folder / month).mkdir(parents=True)
    n_files = n_pictures + len(EDITS) * n_copies + n_same_bytes
    numbers = iter(random.permutation(10 * n_files)[:n_files])  # Names say nothing about copies.

    def new_path(extension: str) -> str:
        return f"{random.choice(months)}/IMG_{next(numbers):06}.{extension}"

    rows = []
    for source in sources:
        picture, extension = render(source, random)
        path = new_path(extension)
        save(picture, folder / path, quality=int(random.integers(85, 96)))
        rows.append({"path": path, "original": "", "kind": "original", **_origin(source._asdict())})
    for kind in np.repeat(list(EDITS), n_copies):
        original = rows[random.integers(n_pictures)]
        path = new_path("jpg" if kind == "jpeg" else original["path"].split(".")[-1])
        save_edited(folder / original["path"], folder / path, str(kind), random)
        rows.append({"path": path, "original": original["path"], "kind": str(kind), **_origin(original)})
    for i in random.permutation(len(rows))[:n_same_bytes]:
        original = rows[i]
        path = new_path(original["path"].split(".")[-1])
        shutil.copyfile(folder / original["path"], folder / path)
        rows.append({"path": path, "original": original["path"], "kind": "same_bytes", **_origin(original)})
    truth = pd.DataFrame(rows)
    truth.to_csv(truth_file(folder), index=False)
    return truth


def truth_file(folder: str | Path) -> Path:
    """Return the path of the truth, beside the folder."""
    folder = Path(folder)
    return folder.with_name(f"{folder.name}.csv")


def read_truth(folder: str | Path) -> pd.DataFrame:
    """Return the truth of a folder that was written."""
    return pd.read_csv(truth_file(folder), keep_default_na=False)


def save_edited(path: Path, copy: Path, kind: str, random: np.random.Generator) -> None:
    """Edit the picture of a file and save it as another file."""
    with Image.open(path) as picture:
        picture.load()
        edited = EDITS[kind](picture, random)
    edited, options = edited if isinstance(edited, tuple) else (edited, {"quality": 90})
    save(edited, copy, **options)


def save(picture: Image.Image, path: Path, **options: Any) -> None:
    """Save a picture in the format of the extension."""
    if path.suffix == ".png":
        options = {}
    elif path.suffix == ".webp":
        options["method"] = 2  # Fast.
    picture.save(path, **options)


def _origin(row: dict[str, Any]) -> dict[str, str]:
    return {name: row[name] for name in ("source", "variant")}


def main(arguments: list[str] | None = None) -> None:
    """Write a folder and its truth."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--data", required=True, help="folder that holds the images")
    parser.add_argument("--pictures", type=int, default=4000, help="number of originals")
    parser.add_argument("--copies", type=int, default=50, help="number of copies of each kind")
    parser.add_argument("--same-bytes", type=int, default=20, help="number of copies byte by byte")
    parser.add_argument("--seed", type=int, default=0)
    parsed = parser.parse_args(arguments)
    truth = write_collection(
        parsed.folder,
        parsed.data,
        n_pictures=parsed.pictures,
        n_copies=parsed.copies,
        n_same_bytes=parsed.same_bytes,
        seed=parsed.seed,
    )
    print(truth.groupby(["kind", "source"]).size().unstack(fill_value=0))


if __name__ == "__main__":
    main()

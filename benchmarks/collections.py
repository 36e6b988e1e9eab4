"""A folder of one's own pictures: duplicates, search, a report, an update, and odd files.

    python -m benchmarks.collections --data DATA [--part duplicates search report update odd] \\
        [--minutes 5] [--seed 0] [--folder FOLDER]

Folders are those of `benchmarks.collections_data`. The encoder is trained for `--minutes` on the folder, as
`dmzrep fit` does. Rivals see pictures on white; "mirrored" ones take the smaller distance of a picture and
of its mirror image, as the collection does.

- duplicates: pairs of a picture and its copy, and of two copies of one picture, are right; files of equal
  bytes count as one. The threshold is "default", or "hindsight": that of the largest F1 score. The precision
  of a kind is that of pairs with at least one copy of this kind. Wrong pairs are written to FOLDER/*.csv.
- search: whether the nearest other picture to a copy is its original; other copies of it are left out.
- report, update: seconds and peak memory for 10,000 pictures, without training.
- odd: how many odd files are read, or listed with a reason.

Rows go to `results/collections.jsonl`; those of rivals that exist already are skipped.
"""

from __future__ import annotations

import argparse
import itertools
import json
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks import results
from benchmarks.collections_data import EDITS, read_truth, truth_file, write_collection
from benchmarks.collections_scoring import (
    USUAL,
    Pairs,
    best_threshold,
    duplicate_pairs,
    pairs_below,
    rival_distances,
    score_pairs,
    score_search,
    search_rates,
)

RESULTS = "collections"
PARTS = ("duplicates", "search", "report", "update", "odd")
BITS, SIDE = 64, 64
#: Pictures of the folder of the report and of the update, and files that are new in the update.
N_LARGE, N_NEW = 10_000, 100
#: The command line, which is installed beside Python.
DMZREP = [str(Path(sys.executable).with_name("dmzrep"))]
#: Starts a command from a small process, since peak memory includes that of the process that starts it.
LAUNCHER = """
import json, os, sys, time
begun = time.perf_counter()
pid = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, 2, 1)])
_, status, usage = os.wait4(pid, 0)
row = {"seconds": round(time.perf_counter() - begun, 1), "peak_mib": round(usage.ru_maxrss / 1024)}
print("\\n" + json.dumps(row | {"exit_code": os.waitstatus_to_exitcode(status)}))
"""


def score_distances(
    distances: np.ndarray, pairs: Pairs, name: str, key: dict[str, Any], parsed: argparse.Namespace
) -> None:
    """Append rows of a rival: duplicates at its usual threshold and in hindsight, and search."""
    thresholds = {"default": USUAL[name]} if name in USUAL else {}
    thresholds["hindsight"] = best_threshold(distances, pairs)
    for kind, threshold in thresholds.items():
        found = pairs_below(distances, threshold)
        key_of = {"part": "duplicates", **key, "name": name, "threshold": kind}
        record(key_of | {"value": threshold} | score_pairs(found, pairs), parsed)
        both = "-mirrored" if key["mirrored"] else ""
        write_wrong(found, pairs, parsed.folder / f"wrong-{name}{both}-{kind}.csv", distances)
    record({"part": "search", **key, "name": name} | score_search(distances, pairs), parsed)


def write_wrong(
    found: Iterable[tuple[int, int]], pairs: Pairs, path: Path, distances: np.ndarray | None = None
) -> None:
    """Write wrong pairs to a file, with their paths, nearest first."""
    wrong = [(min(pair), max(pair)) for pair in found if (min(pair), max(pair)) not in pairs.kinds]
    table = pd.DataFrame(
        {
            "first": [pairs.paths[a] for a, _ in wrong],
            "second": [pairs.paths[b] for _, b in wrong],
            "one_variant": [pairs.variants[a] == pairs.variants[b] for a, b in wrong],
            "distance": [np.nan if distances is None else float(distances[pair]) for pair in wrong],
        }
    )
    table.sort_values("distance", kind="stable").to_csv(path, index=False)


def measure_rivals(folder: Path, pairs: Pairs, key: dict[str, Any], parsed: argparse.Namespace) -> None:
    """Measure hashes and pixels, with and without mirror images."""
    past = results.read(RESULTS, parsed.results)
    for name, mirrored in itertools.product((*USUAL, "pixels"), (True, False)):
        key_of = key | {"mirrored": mirrored}
        if not results.is_done(past, {"part": "search", "name": name} | key_of):
            score_distances(rival_distances(folder, pairs.paths, name, mirrored), pairs, name, key_of, parsed)


def fitted_encoder(folder: Path, parsed: argparse.Namespace) -> tuple[Any, dict[str, Any]]:
    """Return an encoder that was trained on the folder, from its file if there is one."""
    from dmzrep import DMZEncoder, ImageReader

    path = parsed.folder / f"{folder.name}-{parsed.minutes:g}-minutes-{BITS}-bits.safetensors"
    if path.exists():
        return DMZEncoder.load(path), {"minutes": parsed.minutes}
    reader = ImageReader(SIDE, cache_dir=parsed.folder / "cache")
    encoder = DMZEncoder(
        BITS,
        encoder_augment="affine_flip",
        image_reader=reader,
        max_time=60.0 * parsed.minutes,
        random_state=parsed.seed,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Codes need not be perfect after a few minutes.
        encoder.fit(folder).save(path)
    return encoder, {"minutes": parsed.minutes}


def measure_duplicates(collection: Any, root: Path, pairs: Pairs) -> tuple[dict[str, Any], list]:
    """Return the row of the collection's duplicates at their default threshold, and the pairs."""
    begun = time.perf_counter()
    table = collection.duplicates(mirrored=True)
    seconds = time.perf_counter() - begun
    found, same_bytes = grouped_pairs(table, root, pairs)
    row = {"name": "ImageCollection", "threshold": "default", "value": _number(table.attrs["threshold"])}
    row |= {
        "expected_false_pairs": _number(table.attrs["expected_false_pairs"]),
        "seconds": round(seconds, 1),
    }
    return row | {"same_bytes": same_bytes} | score_pairs(found, pairs), sorted(found)


def grouped_pairs(table: pd.DataFrame, root: Path, pairs: Pairs) -> tuple[set[tuple[int, int]], int]:
    """Return pairs of different files within groups, and the number of pairs of files of equal bytes."""
    found, same_bytes = set(), 0
    for _, group in table.groupby("group"):
        rows = [pairs.index[Path(path).relative_to(root).as_posix()] for path in group["path"]]
        same_bytes += len(rows) - len(set(rows))
        found |= set(itertools.combinations(sorted(set(rows)), 2))
    return found, same_bytes


def measure_search(collection: Any, root: Path, pairs: Pairs, k: int = 20) -> dict[str, Any]:
    """Return the row of the collection's search for originals."""
    hits: dict[str, list[float]] = {kind: [] for kind in EDITS}
    for copy in np.flatnonzero(pairs.originals != np.arange(len(pairs.paths))):
        original = pairs.originals[copy]
        for path in collection.search(root / pairs.paths[copy], k=k)["path"]:
            row = pairs.index[Path(path).relative_to(root).as_posix()]
            if row == original or pairs.originals[row] != original:
                hits[pairs.kind_of[copy]].append(float(row == original))
                break
        else:
            hits[pairs.kind_of[copy]].append(0.0)
    return {"name": "ImageCollection"} | search_rates(hits)


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


def measure_mixed(parsed: argparse.Namespace) -> None:
    """Measure duplicates and search, of rivals and of the collection."""
    folder = mixed_folder(parsed)
    pairs = duplicate_pairs(read_truth(folder))
    key = {"seed": parsed.seed, "pictures": parsed.pictures, "copies": parsed.copies}
    measure_rivals(folder, pairs, key, parsed)
    if parsed.only_rivals:
        return
    from dmzrep.collection import ImageCollection

    encoder, trained = fitted_encoder(folder, parsed)
    begun = time.perf_counter()
    collection = ImageCollection(encoder).fit(folder)
    key |= {"mirrored": True, **trained, "fit_seconds": round(time.perf_counter() - begun, 1)}
    if "duplicates" in parsed.part:
        row, found = measure_duplicates(collection, folder, pairs)
        record({"part": "duplicates", **key, **row}, parsed)
        write_wrong(found, pairs, parsed.folder / "wrong-ImageCollection-mirrored-default.csv")
    if "search" in parsed.part:
        record({"part": "search", **key, **measure_search(collection, folder, pairs)}, parsed)
    logits = dict(zip(collection.files_["path"], collection.logits_, strict=True))
    rows = np.array([logits[str(folder / path)] for path in pairs.paths], dtype=np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True).clip(min=1e-12)
    score_distances(1.0 - rows @ rows.T, pairs, "cosine of logits", key, parsed)


def mixed_folder(parsed: argparse.Namespace) -> Path:
    """Return the folder of mixed pictures with the copies that were asked for."""
    name = f"mixed{parsed.seed}" if parsed.seed else "mixed"
    return prepared(parsed, name, parsed.pictures, parsed.copies, parsed.seed)


def prepared(parsed: argparse.Namespace, name: str, n_pictures: int, n_copies: int, seed: int) -> Path:
    """Return a folder of pictures, which is written unless it is there."""
    folder = (parsed.folder / name).absolute()
    if truth_file(folder).exists():
        counts = read_truth(folder)["kind"].value_counts()
        if counts["original"] == n_pictures and counts.get("crop", 0) == n_copies:
            return folder
    parsed.folder.mkdir(parents=True, exist_ok=True)
    write_collection(folder, parsed.data, n_pictures=n_pictures, n_copies=n_copies, seed=seed)
    return folder


def measure_large(parsed: argparse.Namespace) -> None:
    """Measure the report of 10,000 pictures, and an update with 100 new ones."""
    # Train images, of which there are enough; 200 of the files are copies.
    folder = prepared(parsed, "ten", N_LARGE - 200, 30, parsed.seed + 2)
    encoder, trained = fitted_encoder(mixed_folder(parsed), parsed)
    key = {"pictures": N_LARGE, **trained}
    if "report" in parsed.part:
        model = parsed.folder / "model.safetensors"
        encoder.save(model)
        for verb, arguments in commands(folder, model, parsed.folder).items():
            row = run_measured([*DMZREP, *arguments])
            if row["exit_code"]:
                raise RuntimeError(f"dmzrep {' '.join(arguments)} failed with exit code {row['exit_code']}.")
            size = size_of(Path(arguments[-1]))
            record({"part": "report", "verb": verb, "mib": round(size / 2**20, 1), **key, **row}, parsed)
    if "update" in parsed.part:
        record({"part": "update", **key, **measure_update(encoder, folder, parsed)}, parsed)


def size_of(path: Path) -> int:
    """Return the bytes of a file, or of all files in a folder."""
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files)


def commands(folder: Path, model: Path, out: Path) -> dict[str, list[str]]:
    """Return arguments of `dmzrep` for a report, an index and a map; the last one is the file they write."""
    index = str(out / "ten.index")
    return {
        "report": ["report", str(folder), "-m", str(model), "-o", str(out / "report.html")],
        "index": ["index", str(folder), "-m", str(model), "-o", index],
        "map": ["map", index, "-o", str(out / "map.html")],
    }


def measure_update(encoder: Any, folder: Path, parsed: argparse.Namespace) -> dict[str, Any]:
    """Return the row of an update of a collection of `folder`, to which files are added for a while."""
    from dmzrep.collection import ImageCollection

    new = parsed.folder / "new"
    write_collection(new, parsed.data, n_pictures=N_NEW, n_copies=0, n_same_bytes=0, seed=parsed.seed + 3)
    begun = time.perf_counter()
    collection = ImageCollection(encoder).fit(folder)
    fit_seconds = time.perf_counter() - begun
    try:
        shutil.copytree(new, folder / "new")
        begun = time.perf_counter()
        changes = collection.update()
        seconds = time.perf_counter() - begun
    finally:
        shutil.rmtree(folder / "new", ignore_errors=True)
    counts = changes["change"].value_counts().to_dict()
    return {"seconds": round(seconds, 1), "fit_seconds": round(fit_seconds, 1), "changes": counts}


def measure_odd(parsed: argparse.Namespace) -> None:
    """Count odd files that are read, listed, or neither."""
    from dmzrep import DMZEncoder, ImageReader
    from dmzrep.collection import ImageCollection
    from tests.collection import odd_files

    with tempfile.TemporaryDirectory(dir=parsed.folder) as name:
        root = Path(name, "odd")
        expected = odd_files.write_odd_files(root)
        encoder = DMZEncoder(BITS, max_iter=0, image_reader=ImageReader(SIDE, cache_dir=Path(name, "cache")))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            collection = ImageCollection(encoder.fit(root)).fit(root)
        sets = (set(collection.files_["path"]), set(collection.unreadable_["path"]))
        read, listed = ({Path(path).relative_to(root).as_posix() for path in paths} for paths in sets)
        wanted = {path for path, what in expected.items() if what != odd_files.IGNORED}
        odd_files.restore_permissions(root)
    counts = {"files": len(wanted), "read": len(read), "listed": len(listed)}
    record({"part": "odd", **counts, "neither": sorted(wanted - read - listed)}, parsed)


def run_measured(command: list[str]) -> dict[str, Any]:
    """Run a command; return its seconds, peak memory and exit code."""
    done = subprocess.run(
        [sys.executable, "-c", LAUNCHER, *command], stdout=subprocess.PIPE, text=True, check=True
    )
    return json.loads(done.stdout.splitlines()[-1])


def record(row: dict[str, Any], parsed: argparse.Namespace) -> None:
    """Append a row and print it."""
    results.append(RESULTS, row, parsed.results)
    print(json.dumps(row), flush=True)


def main(arguments: list[str] | None = None) -> None:
    """Measure the parts that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="folder that holds the images")
    parser.add_argument("--part", nargs="+", default=list(PARTS), choices=PARTS)
    parser.add_argument("--minutes", type=float, default=5.0, help="training time")
    parser.add_argument("--seed", type=int, default=0, help="of the folder; 0 takes test images")
    parser.add_argument("--pictures", type=int, default=4000, help="originals of the mixed folder")
    parser.add_argument("--copies", type=int, default=50, help="copies of each kind")
    parser.add_argument("--only-rivals", action="store_true")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir(), "collections"))
    parser.add_argument("--results", type=Path, default=results.FOLDER)
    parsed = parser.parse_args(arguments)
    parsed.folder.mkdir(parents=True, exist_ok=True)
    if {"duplicates", "search"} & set(parsed.part):
        measure_mixed(parsed)
    if parsed.only_rivals:
        return
    if {"report", "update"} & set(parsed.part):
        measure_large(parsed)
    if "odd" in parsed.part:
        measure_odd(parsed)


if __name__ == "__main__":
    main()

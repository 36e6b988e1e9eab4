"""A fitted `ImageRetriever` as a folder."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pandas as pd

from dmzrep.errors import PersistenceError
from dmzrep.estimator._encoder import DMZEncoder
from dmzrep.retrieval._neighbors import FaissNeighbors

MANIFEST, INDEX, METADATA, ENCODER = (
    "retriever.json",
    "index.safetensors",
    "metadata.parquet",
    "encoder.safetensors",
)
FORMAT, FORMAT_VERSION = "dmzrep.ImageRetriever", 1


def write_retriever(retriever: Any, path: str | os.PathLike) -> None:
    """Write a fitted retriever beside the folder, then put it in its place.

    Parameters
    ----------
    retriever : ImageRetriever
        Fitted.
    path : path-like
        The folder.
    """
    path = Path(path)
    if path.exists() and not (path / MANIFEST).is_file():
        raise FileExistsError(f"{path} exists and holds no saved ImageRetriever; give another folder.")
    aside, old = (path.with_name(f".{path.name}.{os.getpid()}.{end}") for end in ("part", "old"))
    aside.mkdir(parents=True)
    try:
        retriever.neighbors_.save(aside / INDEX)
        if retriever.metadata_ is not None:
            _require_pyarrow()
            retriever.metadata_.to_parquet(aside / METADATA, engine="pyarrow", index=False)
        if isinstance(retriever.encoder, DMZEncoder):
            retriever.encoder.save(aside / ENCODER)
        # The hashes tell a file of another save from this one's.
        manifest = {
            "format": FORMAT,
            "version": FORMAT_VERSION,
            "files": {file.name: _hash(file) for file in sorted(aside.iterdir())},
        }
        (aside / MANIFEST).write_text(json.dumps(manifest, indent=1))
        if path.exists():
            path.rename(old)
        aside.rename(path)
    finally:
        for left in (aside, old):
            shutil.rmtree(left, ignore_errors=True)


def read_retriever(make: Any, path: str | os.PathLike, encoder: Any) -> Any:
    """Read what `write_retriever` wrote.

    Parameters
    ----------
    make : callable
        The retriever's class.
    path : path-like
        The folder.
    encoder : object with `transform` or None
        None reads the one in the folder.
    """
    path = Path(path)
    if not path.is_dir():
        raise FileNotFoundError(f"There is no folder {path}.")
    files = _manifest(path)
    for name, digest in files.items():
        if not (path / name).is_file():
            raise PersistenceError(f"{path} is not whole: {name} is missing. Restore a copy.")
        if _hash(path / name) != digest:
            raise PersistenceError(f"{path / name} is damaged or from another save. Restore a copy.")
    if encoder is None:
        if ENCODER not in files:
            raise ValueError(f"{path} holds no encoder, as only a DMZEncoder is saved; give encoder=.")
        encoder = DMZEncoder.load(path / ENCODER)
    neighbors = FaissNeighbors.load(path / INDEX)
    metadata = None
    if METADATA in files:
        _require_pyarrow()
        metadata = pd.read_parquet(path / METADATA, engine="pyarrow")
        if len(metadata) != neighbors.n_samples_fit_:
            raise PersistenceError(
                f"{path} is damaged: {len(metadata)} rows of metadata for {neighbors.n_samples_fit_} images."
            )
    retriever = make(encoder, neighbors)
    retriever.neighbors_, retriever.metadata_ = neighbors, metadata
    return retriever


def _manifest(path: Path) -> dict[str, str]:
    file = path / MANIFEST
    if not file.is_file():
        raise PersistenceError(f"{path} was not written by ImageRetriever.save(): it has no {MANIFEST}.")
    try:
        manifest = json.loads(file.read_text())
        known, version, files = manifest["format"] == FORMAT, manifest["version"], dict(manifest["files"])
    except (ValueError, KeyError, TypeError) as error:
        raise PersistenceError(f"{file} is damaged: {error!r}. Restore a copy.") from error
    if not known or not set(files) <= {INDEX, METADATA, ENCODER} or INDEX not in files:
        raise PersistenceError(f"{file} was not written by ImageRetriever.save().")
    if version != FORMAT_VERSION:
        raise PersistenceError(
            f"{path} has format version {version}; this dmzrep reads version {FORMAT_VERSION}. "
            "Install the version that wrote it."
        )
    return files


def _require_pyarrow() -> None:
    try:
        import pyarrow  # noqa: F401
    except ImportError as error:
        raise ImportError(
            "Metadata is kept as Parquet, which needs pyarrow. Install it with: pip install 'dmzrep[parquet]'"
        ) from error


def _hash(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

"""Pictures of a folder as one array file."""

import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from joblib import parallel_config

from dmzrep.datasets import _image_cache as image_cache
from dmzrep.datasets import load_images
from dmzrep.datasets._pictures import Rendering, read_picture

Image = pytest.importorskip("PIL.Image")


def save(path, pixels, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    picture.save(path, **options)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """The user's cache folder."""
    folder = tmp_path / "user cache"
    monkeypatch.setattr("dmzrep.datasets._folder.default_cache_dir", lambda: folder / "dmzrep")
    monkeypatch.setattr(image_cache, "default_cache_dir", lambda: folder / "dmzrep")
    return folder / "dmzrep"


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(0, 256, (9, 16, 16, 3), dtype=np.uint8)


@pytest.fixture
def folder(tmp_path, pixels):
    """Two classes, a picture outside them, and files to ignore, in unsorted order."""
    for i, name in enumerate(["dog/b.png", "cat/z.png", "cat/deep/a.PNG", "loose.bmp", "dog/a.png"]):
        save(tmp_path / "pets" / name, pixels[i])
    (tmp_path / "pets" / "readme.txt").write_text("no picture")
    (tmp_path / "pets" / ".hidden").mkdir()
    save(tmp_path / "pets" / ".hidden" / "c.png", pixels[8])
    return tmp_path / "pets"


NAMES = ["cat/deep/a.PNG", "cat/z.png", "dog/a.png", "dog/b.png", "loose.bmp"]
ORDER = [2, 1, 4, 0, 3]


def test_pictures_are_sorted_and_have_classes(folder, pixels):
    data = load_images(folder, 16)
    assert data.filenames.tolist() == NAMES
    assert isinstance(data.images, np.memmap) and not data.images.flags.writeable
    np.testing.assert_array_equal(data.images, pixels[ORDER])
    assert data.target.tolist() == [0, 0, 1, 1, -1] and data.target_names.tolist() == ["cat", "dog"]
    assert data.unreadable == {}
    images, target = load_images(folder, 16, return_X_y=True)
    np.testing.assert_array_equal(images, data.images)
    np.testing.assert_array_equal(target, data.target)


@pytest.mark.parametrize(("mode", "channels"), [("L", ()), ("RGB", (3,)), ("RGBA", (4,))])
def test_pictures_are_converted_to_the_mode(mode, channels, tmp_path, pixels):
    save(tmp_path / "colour.png", pixels[0])
    save(tmp_path / "gray.png", pixels[1, ..., 0])
    save(tmp_path / "palette.gif", Image.fromarray(pixels[2]).convert("P"))
    data = load_images(tmp_path, 16, mode=mode)
    assert data.target is None and data.target_names is None
    images = data.images
    assert images.shape == (3, 16, 16, *channels) and images.dtype == np.uint8
    np.testing.assert_array_equal(images[0], np.asarray(Image.fromarray(pixels[0]).convert(mode)))


def read(path, size=(8, 8), mode="L", resize="crop", background="white"):
    return read_picture(path, Rendering(size, mode, resize, background))


def test_pictures_of_another_aspect_ratio_are_cropped_or_padded(tmp_path):
    wide = np.zeros((20, 60), dtype=np.uint8)
    wide[:, 20:40] = 255
    save(tmp_path / "wide.png", wide)
    assert load_images(tmp_path, (10, 10), mode="L").images[0, :, 1:-1].min() > 250
    assert load_images(tmp_path, (10, 30), mode="L").images[0, :, :8].max() < 5
    padded = load_images(tmp_path, 30, mode="L", resize="pad", background="#808080").images[0]
    assert set(padded[:10].ravel()) == set(padded[20:].ravel()) == {128}
    assert padded[10:20, :8].max() < 5 and padded[10:20, 12:18].min() > 250
    assert load_images(tmp_path, 30, mode="RGBA", resize="pad").images[0, :10, :, 3].max() == 0


def test_transparent_pixels_are_composited_on_the_background(tmp_path):
    clear = np.full((8, 8, 4), (255, 0, 0, 0), dtype=np.uint8)
    save(tmp_path / "clear.png", clear)
    save(tmp_path / "half.png", np.full((8, 8, 2), (0, 128), dtype=np.uint8))
    palette = Image.new("P", (8, 8))
    save(tmp_path / "palette.gif", palette, transparency=0)
    colours = [read(tmp_path / name, mode="RGB")[0, 0].tolist() for name in ("clear.png", "half.png")]
    assert colours == [[255] * 3, [127] * 3]
    assert read(tmp_path / "palette.gif")[0, 0] == 255
    assert read(tmp_path / "clear.png", background="black").max() == 0
    np.testing.assert_array_equal(read(tmp_path / "clear.png", mode="RGBA"), clear)


@pytest.mark.parametrize("exif", [b"Exif\0\0M?\0*\0\0\0\x08\0\0\0\0\0\0", b"Exif\0\0", b"Exif\0\0II*\0\xff"])
def test_damaged_exif_data_are_ignored(exif, tmp_path, pixels):
    save(tmp_path / "a.png", pixels[0], exif=exif)
    np.testing.assert_array_equal(read(tmp_path / "a.png", (16, 16), "RGB"), pixels[0])


def test_large_photographs_are_downsampled_accurately(tmp_path):
    ramp = np.linspace(0, 255, 640).astype(np.uint8)
    photograph = np.stack([np.tile(ramp, (480, 1))] * 3, axis=2)
    save(tmp_path / "photograph.jpg", photograph, quality=95)
    image = read(tmp_path / "photograph.jpg", (24, 32), "RGB").astype(int)
    expected = photograph.reshape(24, 20, 32, 20, 3).mean(axis=(1, 3))
    assert np.abs(image - expected).max() < 4


def test_unreadable_files_are_left_out_and_listed(folder, pixels):
    (folder / "cat" / "m.png").write_bytes((folder / "cat" / "z.png").read_bytes()[:200])
    (folder / "dog" / "fake.jpg").write_text("no picture")
    for _ in range(2):  # The second time from the cache.
        with pytest.warns(UserWarning, match=r"2 of 7 files in .* could not be read, such as cat/m.png \("):
            data = load_images(folder, 16)
        assert set(data.unreadable) == {"cat/m.png", "dog/fake.jpg"}
        assert "UnidentifiedImageError" in data.unreadable["dog/fake.jpg"]
        assert data.filenames.tolist() == NAMES
        np.testing.assert_array_equal(data.images, pixels[ORDER])


def test_unreadable_folders_are_listed(folder, monkeypatch):
    walk = os.walk

    def refusing(root, onerror):
        onerror(PermissionError(13, "Permission denied", str(folder / "cat")))
        yield from (entry for entry in walk(root) if "cat" not in entry[0])

    monkeypatch.setattr(os, "walk", refusing)
    with pytest.warns(UserWarning, match=r"such as cat \(PermissionError: Permission denied\)"):
        data = load_images(folder, 16)
    assert data.filenames.tolist() == NAMES[2:] and set(data.unreadable) == {"cat"}


def count_reads(monkeypatch):
    read = []

    def counting(path, *arguments):
        read.append(path.name)
        return read_picture(path, *arguments)

    monkeypatch.setattr(image_cache, "read_picture", counting)
    return read


def test_files_are_read_once_until_the_folder_changes(folder, pixels, monkeypatch):
    read = count_reads(monkeypatch)
    load_images(folder, 16)
    assert len(read) == 5
    load_images(folder, 16)
    assert len(read) == 5
    load_images(folder, 16, mode="L")
    load_images(folder, 8)
    assert len(read) == 15
    before = load_images(folder, 16).images
    save(folder / "dog" / "a.png", pixels[7])
    later = time.time() + 10
    os.utime(folder / "dog" / "a.png", (later, later))
    np.testing.assert_array_equal(load_images(folder, 16).images[2], pixels[7])
    np.testing.assert_array_equal(before[2], pixels[4])  # The old file stays valid while it is open.
    (folder / "dog" / "a.png").unlink()
    assert len(load_images(folder, 16).images) == 4


def test_a_damaged_cache_is_rebuilt(folder, pixels, cache):
    load_images(folder, 16)
    for path in cache.glob("pets-*.*"):
        path.write_bytes(path.read_bytes()[:20])
    np.testing.assert_array_equal(load_images(folder, 16).images, pixels[ORDER])


def test_an_interrupted_call_leaves_nothing_and_the_next_one_succeeds(folder, pixels, cache, monkeypatch):
    def stops(path, *arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as context, pytest.raises(KeyboardInterrupt):
        context.setattr(image_cache, "read_picture", stops)
        load_images(folder, 16, n_jobs=1)
    assert [path.suffix for path in cache.iterdir()] == [""]  # The lock.
    left = cache / f"{next(cache.iterdir()).name.removesuffix('lock')}killed.part"
    left.mkdir()
    os.utime(left, (0, 0))
    np.testing.assert_array_equal(load_images(folder, 16).images, pixels[ORDER])
    assert sorted(path.suffix for path in cache.glob("*.*")) == [".json", ".npy"]


def test_nothing_is_written_beside_the_pictures(folder, tmp_path, cache, monkeypatch):
    before = sorted(folder.rglob("*"))
    load_images(folder, 16)
    assert sorted(folder.rglob("*")) == before and len(list(cache.glob("*.npy"))) == 1
    other = tmp_path / "more" / "pets"
    save(other / "a.png", np.zeros((8, 8), dtype=np.uint8))
    for place in (folder, other):  # Both are named pets.
        load_images(place, 16, cache_dir=tmp_path / "cache")
    assert len(list((tmp_path / "cache").glob("pets-*-16x16-RGB-crop-*.npy"))) == 2

    def refuse(*arguments, **options):
        raise PermissionError("read-only")

    monkeypatch.setattr("pathlib.Path.mkdir", refuse)
    with pytest.raises(PermissionError, match="read-only") as caught:
        load_images(folder, 8)
    assert "pass another folder as cache_dir" in caught.value.__notes__[0]


def test_least_recently_used_files_are_removed(folder, cache, monkeypatch):
    for i, side in enumerate((8, 10, 12)):
        load_images(folder, side)
        (about,) = cache.glob(f"*-{side}x{side}-*.json")
        os.utime(about, (i, i))
    load_images(folder, 8)  # Used again.
    monkeypatch.setattr(image_cache, "CACHE_BYTES", 8_000)
    load_images(folder, 16)
    assert {path.name.split("-")[2] for path in cache.glob("*.npy")} == {"8x8", "12x12", "16x16"}


@pytest.mark.parametrize("locks", [True, False])
def test_threads_load_one_folder_at_once(locks, folder, pixels, cache, monkeypatch):
    if not locks:
        monkeypatch.setitem(sys.modules, "fcntl", None)
    with ThreadPoolExecutor(4) as pool:
        for data in pool.map(lambda _: load_images(folder, 16), range(8)):
            np.testing.assert_array_equal(data.images, pixels[ORDER])
    assert sorted(path.suffix for path in cache.glob("*.*")) == [".json", ".npy"]


@pytest.mark.parametrize("backend", [pytest.param("loky", marks=pytest.mark.slow), "sequential"])
def test_images_do_not_depend_on_the_joblib_backend(backend, folder, pixels, monkeypatch):
    monkeypatch.setattr(image_cache, "CHUNK", 2)
    with parallel_config(backend, n_jobs=2):
        np.testing.assert_array_equal(load_images(folder, 16, n_jobs=None).images, pixels[ORDER])


def test_invalid_arguments_and_empty_folders_are_rejected(folder, tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="background must be the name of a colour"):
        load_images(folder, 8, background="octarine")
    with pytest.raises(NotADirectoryError, match=r"There is no folder .*nowhere"):
        load_images(tmp_path / "nowhere", 8)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="has no pictures"):
        load_images(tmp_path / "empty", 8)
    (tmp_path / "empty" / "a.png").write_text("no picture")
    with pytest.raises(ValueError, match=r"1 of 1 files .* There is nothing to load"):
        load_images(tmp_path / "empty", 8)
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(ImportError, match=r'pip install "dmzrep\[images\]"'):
        load_images(folder, 8)

"""Pictures of a folder as one array file."""

import os
import sys
import time

import numpy as np
import pytest
from joblib import parallel_config

from dmzrep.datasets import _image_cache as image_cache
from dmzrep.datasets import load_images
from dmzrep.datasets._pictures import read_picture

Image = pytest.importorskip("PIL.Image")


def save(path, pixels, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    picture.save(path, **options)


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(0, 256, (9, 16, 16, 3), dtype=np.uint8)


@pytest.fixture
def folder(tmp_path, pixels):
    """Two classes, one loose picture, files that are none, and a damaged one; names out of order."""
    for i, name in enumerate(["dog/b.png", "cat/z.png", "cat/deep/a.PNG", "loose.bmp", "dog/a.png"]):
        save(tmp_path / "pets" / name, pixels[i])
    (tmp_path / "pets" / "readme.txt").write_text("no picture")
    (tmp_path / "pets" / ".hidden").mkdir()
    save(tmp_path / "pets" / ".hidden" / "c.png", pixels[8])
    return tmp_path / "pets"


NAMES = ["cat/deep/a.PNG", "cat/z.png", "dog/a.png", "dog/b.png", "loose.bmp"]
ORDER = [2, 1, 4, 0, 3]


def test_pictures_come_sorted_by_name_with_their_classes(folder, pixels):
    data = load_images(folder, 16)
    assert data.filenames.tolist() == NAMES
    assert isinstance(data.images, np.memmap) and not data.images.flags.writeable
    np.testing.assert_array_equal(data.images, pixels[ORDER])
    assert data.target.tolist() == [0, 0, 1, 1, -1] and data.target_names.tolist() == ["cat", "dog"]
    assert data.unreadable == {}
    images, target = load_images(folder, 16, return_X_y=True)
    np.testing.assert_array_equal(images, data.images)
    np.testing.assert_array_equal(target, data.target)


def test_a_folder_without_sub_folders_has_no_classes(tmp_path, pixels):
    save(tmp_path / "a.png", pixels[0])
    data = load_images(tmp_path, 16)
    assert data.target is None and data.target_names is None


@pytest.mark.parametrize(("mode", "channels"), [("L", ()), ("RGB", (3,)), ("RGBA", (4,))])
def test_pictures_are_converted_to_the_mode(mode, channels, tmp_path, pixels):
    save(tmp_path / "colour.png", pixels[0])
    save(tmp_path / "gray.png", pixels[1, ..., 0])
    save(tmp_path / "palette.gif", Image.fromarray(pixels[2]).convert("P"))
    images = load_images(tmp_path, 16, mode=mode).images
    assert images.shape == (3, 16, 16, *channels) and images.dtype == np.uint8
    np.testing.assert_array_equal(images[0], np.asarray(Image.fromarray(pixels[0]).convert(mode)))


def test_pictures_are_cropped_around_their_centre(tmp_path):
    wide = np.zeros((20, 60), dtype=np.uint8)
    wide[:, 20:40] = 255
    save(tmp_path / "wide.png", wide)
    assert load_images(tmp_path, (10, 10), mode="L").images[0, :, 1:-1].min() > 250
    assert load_images(tmp_path, (10, 30), mode="L").images[0, :, :8].max() < 5


def test_sixteen_bits_become_eight_and_cameras_turns_are_undone(tmp_path):
    deep = np.full((8, 8), 128 << 8, dtype=np.uint16)
    save(tmp_path / "deep.png", deep)
    assert set(read_picture(tmp_path / "deep.png", (8, 8), "L").ravel()) == {128}
    half = np.zeros((8, 8), dtype=np.uint8)
    half[:4] = 255
    exif = Image.Exif()
    exif[0x0112] = 3  # Upside down.
    save(tmp_path / "turned.png", half, exif=exif)
    np.testing.assert_array_equal(read_picture(tmp_path / "turned.png", (8, 8), "L"), half[::-1])
    save(tmp_path / "real.tif", np.zeros((8, 8), dtype=np.float32))
    with pytest.raises(ValueError, match="no known range"):
        read_picture(tmp_path / "real.tif", (8, 8), "L")


def test_large_photographs_are_as_if_decoded_whole(tmp_path):
    ramp = np.linspace(0, 255, 640).astype(np.uint8)
    photograph = np.stack([np.tile(ramp, (480, 1))] * 3, axis=2)
    save(tmp_path / "photograph.jpg", photograph, quality=95)
    image = read_picture(tmp_path / "photograph.jpg", (24, 32), "RGB").astype(int)
    expected = photograph.reshape(24, 20, 32, 20, 3).mean(axis=(1, 3))
    assert np.abs(image - expected).max() < 4


def test_unreadable_files_are_left_out_and_listed(folder, pixels):
    (folder / "cat" / "m.png").write_bytes((folder / "cat" / "z.png").read_bytes()[:200])
    (folder / "dog" / "fake.jpg").write_text("no picture")
    for _ in range(2):  # The second time from the file.
        with pytest.warns(UserWarning, match=r"2 of 7 files in .* could not be read, such as cat/m.png \("):
            data = load_images(folder, 16)
        assert set(data.unreadable) == {"cat/m.png", "dog/fake.jpg"}
        assert "UnidentifiedImageError" in data.unreadable["dog/fake.jpg"]
        assert data.filenames.tolist() == NAMES
        np.testing.assert_array_equal(data.images, pixels[ORDER])


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
    np.testing.assert_array_equal(before[2], pixels[4])  # Whoever has the old file open keeps it.
    (folder / "dog" / "a.png").unlink()
    assert len(load_images(folder, 16).images) == 4


def test_a_damaged_cache_is_made_anew(folder, pixels):
    load_images(folder, 16)
    for path in (folder / ".dmzrep").iterdir():
        path.write_bytes(path.read_bytes()[:20])
    np.testing.assert_array_equal(load_images(folder, 16).images, pixels[ORDER])
    assert sorted(p.name for p in (folder / ".dmzrep").iterdir()) == ["16x16-RGB.json", "16x16-RGB.npy"]


def test_an_interrupted_call_goes_on_where_it_stopped(folder, pixels, monkeypatch):
    monkeypatch.setattr(image_cache, "CHUNK", 1)
    read = count_reads(monkeypatch)
    counting = image_cache.read_picture

    def stops(path, *arguments):
        if len(read) == 3:
            raise KeyboardInterrupt
        return counting(path, *arguments)

    monkeypatch.setattr(image_cache, "read_picture", stops)
    with pytest.raises(KeyboardInterrupt):
        load_images(folder, 16, n_jobs=1)
    assert not (folder / ".dmzrep" / "16x16-RGB.npy").exists()
    with open(folder / ".dmzrep" / "16x16-RGB.part.jsonl", "a") as log:
        log.write('[3, {"dog')  # Killed while it wrote.
    monkeypatch.setattr(image_cache, "read_picture", counting)
    np.testing.assert_array_equal(load_images(folder, 16, n_jobs=1).images, pixels[ORDER])
    assert len(read) == 5 and len(set(read)) == 5


def test_a_folder_that_cannot_be_written_to_can_have_its_cache_elsewhere(folder, tmp_path, monkeypatch):
    other = tmp_path / "more" / "pets"
    save(other / "a.png", np.zeros((8, 8), dtype=np.uint8))
    for place in (folder, other):
        load_images(place, 16, cache_dir=tmp_path / "cache")
        assert not (place / ".dmzrep").exists()
    assert len(list((tmp_path / "cache").glob("pets-*-16x16-RGB.npy"))) == 2

    def refuse(*arguments, **options):
        raise PermissionError("read-only")

    monkeypatch.setattr("pathlib.Path.mkdir", refuse)
    with pytest.raises(PermissionError, match="read-only") as caught:
        load_images(folder, 16)
    assert "with cache_dir" in caught.value.__notes__[0]


@pytest.mark.parametrize("backend", [pytest.param("loky", marks=pytest.mark.slow), "threading", "sequential"])
def test_workers_of_every_kind_write_the_same(backend, folder, pixels, monkeypatch):
    monkeypatch.setattr(image_cache, "CHUNK", 2)
    with parallel_config(backend, n_jobs=2):
        np.testing.assert_array_equal(load_images(folder, 16, n_jobs=None).images, pixels[ORDER])


def test_a_bar_is_shown_when_asked(folder, capsys):
    load_images(folder, 16, progress=True)
    assert "5/5" in capsys.readouterr().err


@pytest.mark.parametrize("size", [0, -1, 1.5, (8,), (8, 0), "8", (8, 8, 3)])
def test_sizes_that_are_none_are_refused(size, folder):
    with pytest.raises(ValueError, match="size must be a positive whole number"):
        load_images(folder, size)


def test_what_cannot_be_loaded_is_refused(folder, tmp_path, monkeypatch):
    with pytest.raises(ValueError, match=r"mode must be one of .*'RGB'.*got 'gray'"):
        load_images(folder, 8, mode="gray")
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

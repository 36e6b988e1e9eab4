"""What the explorer computes, and for which encoders and collections."""

from types import SimpleNamespace

import numpy as np
import pytest

from dmzrep.app.explorer._code_tab import grid_value, learn_attributes, status_line
from dmzrep.app.explorer._exploration import (
    FITTED,
    Exploration,
    attribute_probabilities,
    edited_bits,
    switched,
)
from dmzrep.datasets import ImageReader
from tests.encoders import make_encoder

Image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
TINY = {"width": (8, 16), "encoder_width": 8, "max_iter": 1, "random_state": 0}
FAST = {"n_steps": 4}


@pytest.mark.parametrize("layout", ["HWC", "CHW", "flat", "reader"])
def test_files_are_read_in_the_layout_of_the_fit(tmp_path, layout):
    rng = np.random.default_rng(0)
    X = rng.integers(0, 256, (64, 16, 16, 3), dtype=np.uint8)
    Image.fromarray(X[0].repeat(4, axis=0).repeat(4, axis=1)).save(tmp_path / "large.png")
    params = dict(TINY)
    if layout == "CHW":
        X = X.transpose(0, 3, 1, 2) / np.float32(255.0)
    elif layout == "flat":
        X, params = X.reshape(64, -1), TINY | {"image_shape": (16, 16, 3)}
    elif layout == "reader":
        params |= {"image_reader": ImageReader(16)}
    exploration = Exploration(make_encoder(16, **params).fit(X))
    picture = exploration.read(tmp_path / "large.png")
    assert picture.sample.shape == (1, *X.shape[1:]) and picture.sample.dtype == X.dtype
    shown = exploration.show(picture.sample)[0]
    original = exploration.show(X[:1])[0]
    assert shown.shape == original.shape == (320, 320, 3) and shown.dtype == np.uint8
    assert np.abs(shown.astype(int) - original.astype(int)).mean() < 40.0  # Lanczos overshoots.


def test_only_encoders_of_images_and_collections_are_explored(vector_encoder, encoder):
    with pytest.raises(ValueError, match="needs an encoder of images"):
        Exploration(vector_encoder)
    with pytest.raises(TypeError, match="encoder must be a fitted DMZEncoder"):
        Exploration("model.safetensors")
    with pytest.raises(TypeError, match="collection must be a fitted ImageCollection, got 'index'"):
        Exploration(encoder, "index")


def test_collection_of_another_model_is_refused(encoder, digits):
    other = make_encoder(16, **TINY).fit(digits)
    with pytest.raises(ValueError, match="indexed with a different model"):
        Exploration(encoder, SimpleNamespace(encoder=other, files_=None))


def test_file_has_the_code_of_its_array(exploration, pictures, digits, encoder):
    picture = exploration.read(pictures[3])
    np.testing.assert_array_equal(picture.sample, digits[3:4])
    np.testing.assert_allclose(picture.probabilities, encoder.transform(digits[3:4])[0], atol=1e-6)


@pytest.mark.parametrize("content", [b"", b"no picture", b"\x89PNG\r\n\x1a\n broken"])
def test_unreadable_files_are_named_without_their_folder(exploration, tmp_path, content):
    path = tmp_path / "broken.png"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"^broken\.png cannot be read as a picture: ") as caught:
        exploration.read(path)
    assert str(tmp_path) not in str(caught.value)


@pytest.mark.parametrize("details", ["typical", "random"])
def test_only_bits_change_the_decoded_picture(exploration, picture, details):
    bits = picture.bits
    drawn = FAST | {"details": details, "seed": 3}
    again = [exploration.decode(picture, bits, **drawn) for _ in range(2)]
    np.testing.assert_array_equal(*again)
    changed = exploration.decode(picture, bits ^ (np.arange(16) < 4), **drawn)
    assert np.abs(changed.astype(int) - again[0].astype(int)).max() > 10


def test_details_may_come_from_the_picture(exploration, picture):
    same = exploration.decode(picture, picture.bits, details="unchanged pixels", **FAST)
    np.testing.assert_array_equal(same, picture.sample)
    close = exploration.decode(picture, picture.bits, details="inverted noise", n_steps=20, sampler="heun")
    loose = exploration.decode(picture, picture.bits, n_steps=20)
    errors = [np.abs(x.astype(int) - picture.sample).mean() for x in (close, loose)]
    assert errors[0] < errors[1]


def test_progress_is_reported(exploration, picture):
    steps = []
    exploration.decode(picture, picture.bits, on_step=lambda *step: steps.append(step), **FAST)
    assert steps == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_nearest_neighbour_of_a_picture_is_itself(exploration, picture):
    found, rows = exploration.neighbours(picture, 5)
    assert rows[0] == 3 and len(found) == 5 and found[0][1] == "0 · digit_03.png"
    assert len(exploration.neighbours(picture, 100)[0]) == 60


def test_walk_leads_from_code_to_code(exploration, pictures):
    ends = exploration.read(pictures[0]), exploration.read(pictures[1])
    samples, flips = exploration.walk(*ends, 5, seed=1, **FAST)
    assert samples.shape == (5, 8, 8) and flips[0] == 0.0 and (np.diff(flips) >= 0.0).all()
    assert flips[-1] == (ends[0].bits != ends[1].bits).sum()
    exploration.walk(*ends, 3, noise="inverted", sampler="heun", **FAST)  # The sampler does not apply.


def test_new_pictures_depend_on_the_seed_alone(exploration, encoder):
    one, same, other = (exploration.draw(3, seed=seed, **FAST) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert (one != other).any()
    assert exploration.priors == (FITTED, "independent", "uniform")
    np.testing.assert_array_equal(one, encoder.sample(3, random_state=1, **FAST))
    assert exploration.draw(2, prior="uniform", guidance=2.0, **FAST).shape == (2, 8, 8)  # No guidance.
    drawn = exploration.drawn(5, **FAST)
    np.testing.assert_array_equal(drawn.bits, exploration.drawn(5, **FAST).bits)


def test_edit_raises_the_probability_of_an_attribute(exploration, picture, labels_file):
    editor, note = learn_attributes(exploration, labels_file)
    assert editor.attributes_ == ["round", "seven"]
    assert note.startswith("60 of 60 pictures have labels.") and "remark" in note
    np.testing.assert_array_equal(edited_bits(editor, picture, {"round": 0.0}), picture.bits)
    before = attribute_probabilities(editor, picture.bits)["round"]
    target = 6.0 if before < 0.5 else -6.0
    bits = edited_bits(editor, picture, {"round": target, "seven": 0.0})
    after = attribute_probabilities(editor, bits)["round"]
    assert (after > 0.5) == (before < 0.5) and switched(picture, bits) > 0
    assert "round" in status_line(picture, bits, editor, ["round", "seven"])


def test_attributes_need_a_collection(encoder, labels_file):
    with pytest.raises(ValueError, match="Attributes need a collection"):
        learn_attributes(Exploration(encoder), labels_file)


def test_grid_shows_the_bits_and_those_of_the_picture(picture):
    bits = picture.bits ^ (np.arange(16) == 2)
    value = grid_value(picture, bits)
    assert value["bits"] == bits.tolist() and value["own"] == picture.bits.tolist()
    assert status_line(picture, bits, None, []) == "digit_03.png · 1 bit switched"

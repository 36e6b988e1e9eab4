import re

import numpy as np
import pytest

from dmzrep import DMZEncoder, Network
from dmzrep.estimator._model_card import model_card
from dmzrep.files._container import library_versions
from dmzrep.version import __version__
from tests.encoders import make_encoder

pytestmark = pytest.mark.filterwarnings("ignore::dmzrep.errors.CodeWarning")


def table(card, heading):
    """A table under a heading, by its first column."""
    section = card.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| (.+?) \| (.+) \|$", section, re.MULTILINE)
    return {name: value for name, value in rows if name != "---"}


def test_a_card_tells_what_the_encoder_is(encoder):
    card = model_card(encoder, "digits.safetensors")
    assert card.startswith("---\nlibrary_name: dmzrep\n")
    assert "# digits: binary codes of 16 bits" in card
    assert "DMZEncoder.load('digits.safetensors')" in card
    assert table(card, "Data") == {
        "rows": "images of 8 x 8 pixels, 1 channel",
        "shape of X": "(n, 8, 8)",
        "dtype": "uint8",
        "range": "0 to 255",
    }
    training, last = table(card, "Training"), encoder.history_.iloc[-1]
    n_parameters = sum(p.numel() for p in encoder.model_.parameters())
    assert training["parameters of the networks"].startswith(f"{n_parameters:,} (encoder ")
    assert training["epochs"] == "25 (ended by max_iter)"
    assert training["rows seen"] == f"{last['images']:,.0f}"
    assert training["loss, training, relaxed bits"] == f"{last['loss']:.4g}"
    assert training["loss, validation, hard bits"] == f"{last['validation_loss_hard']:.4g}"
    code = table(card, "Code")
    assert f"the prior is `{encoder.prior_.name}`" in card
    assert code["dead_bits"] == f"{encoder.code_summary_['dead_bits']:.4g}"
    assert "loss_no_code" not in code
    changed = table(card, "Parameters")
    assert changed["`latent_dim`"] == "16" and changed["`width`"] == "(16, 32)"
    assert "`learning_rate`" not in changed
    assert table(card, "Versions") == library_versions() and library_versions()["dmzrep"] == __version__
    assert "Limits" in card and "Hamming" in card


def test_a_card_of_vectors(vector_encoder):
    data = table(model_card(vector_encoder), "Data")
    assert data["rows"] == "vectors of 10 features, standardised"
    assert data["shape of X"] == "(n, 10)"


def test_a_card_of_a_model_without_codes(digits):
    encoder = DMZEncoder(network=Network(conditioning="none", width=8), max_iter=1, random_state=0).fit(
        digits[:64]
    )
    card = model_card(encoder)
    assert "a diffusion model without codes" in card and "## Code" not in card


def test_a_card_says_nothing_of_the_machine(digits, tmp_path):
    params = {"width": 8, "encoder_width": 8, "max_iter": 1, "checkpoint_dir": tmp_path / "secret"}
    card = model_card(make_encoder(8, **params, random_state=0).fit(digits[:64]))
    assert "secret" not in card


@pytest.mark.parametrize(
    ("name", "card", "expected"),
    [
        ("digits.safetensors", True, "digits.md"),
        ("digits-v1.2", True, "digits-v1.2.md"),
        ("digits.safetensors", "README.md", "README.md"),
    ],
)
def test_save_writes_a_card_where_it_is_asked_to(encoder, digits, tmp_path, name, card, expected):
    encoder.save(tmp_path / name, model_card=card if card is True else tmp_path / card)
    assert {path.name for path in tmp_path.iterdir()} == {name, expected}
    assert (tmp_path / expected).read_text() == model_card(encoder, name)
    assert np.array_equal(
        DMZEncoder.load(tmp_path / name).transform(digits[:2]), encoder.transform(digits[:2])
    )


def test_save_writes_no_card_unless_it_is_asked_to(encoder, tmp_path):
    (tmp_path / "digits.md").write_text("my own notes")
    encoder.save(tmp_path / "digits.safetensors")
    assert (tmp_path / "digits.md").read_text() == "my own notes"
    assert len(list(tmp_path.iterdir())) == 2


def test_a_folder_that_is_not_there_is_named(encoder, tmp_path):
    for name, card in (("none/a.safetensors", False), ("a.safetensors", tmp_path / "none" / "a.md")):
        with pytest.raises(FileNotFoundError, match=r"cannot be written: there is no folder .*none\. Make"):
            encoder.save(tmp_path / name, model_card=card)

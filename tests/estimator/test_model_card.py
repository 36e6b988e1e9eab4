"""Model cards."""

import re

import pytest

from dmzrep import DMZEncoder, Network
from dmzrep.estimator._model_card import model_card
from dmzrep.files._container import library_versions
from tests.encoders import make_encoder


def table(card, heading):
    """Return the table under a heading, by its first column."""
    section = card.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    lines = re.findall(r"^\| (.+?) \| (.+) \|$", section, re.MULTILINE)
    return {name: value for name, value in lines if name != "---"}


def test_a_card_describes_the_encoder(encoder):
    card = model_card(encoder, "digits.safetensors")
    assert card.startswith("---\nlibrary_name: dmzrep\n")
    assert "# digits: binary codes of 16 bits" in card
    assert "DMZEncoder.load('digits.safetensors')" in card
    data = table(card, "Data")
    assert (data["input_shape"], data["input_dtype"]) == ('["n", 8, 8]', "uint8")
    training, last = table(card, "Training"), encoder.history_.iloc[-1]
    n_parameters = sum(p.numel() for p in encoder.model_.parameters())
    assert training["parameters of the networks"].startswith(f"{n_parameters:,} (encoder ")
    assert (training["epoch"], training["ended by"]) == ("8", "max_iter")
    assert training["validation_loss_hard"] == f"{last['validation_loss_hard']:.5g}"
    assert f"the prior is `{encoder.prior_.name}`" in card
    code = table(card, "Code")
    assert code["dead_bits"] == f"{encoder.code_summary_['dead_bits']:.4g}"
    assert "loss_no_code" not in code
    changed = table(card, "Parameters")
    assert changed["`latent_dim`"] == "16" and changed["`width`"] == "(16, 32)"
    assert "`learning_rate`" not in changed
    assert table(card, "Versions") == library_versions()


def test_a_card_of_a_model_without_codes(digits):
    network = Network(conditioning="none", width=8)
    card = model_card(DMZEncoder(network=network, max_iter=1, random_state=0).fit(digits[:64]))
    assert "unconditional diffusion" in card and "## Code" not in card


def test_a_card_does_not_describe_the_machine(digits, tmp_path):
    params = {"width": 8, "encoder_width": 8, "max_iter": 1, "checkpoint_dir": tmp_path / "secret"}
    assert "secret" not in model_card(make_encoder(8, **params, random_state=0).fit(digits[:64]))


@pytest.mark.parametrize(
    ("name", "card", "expected"),
    [
        ("digits.safetensors", True, "digits.md"),
        ("digits-v1.2", True, "digits-v1.2.md"),
        ("digits.safetensors", "README.md", "README.md"),
    ],
)
def test_save_writes_a_card_on_request(encoder, tmp_path, name, card, expected):
    encoder.save(tmp_path / name)
    assert {path.name for path in tmp_path.iterdir()} == {name}
    encoder.save(tmp_path / name, model_card=card if card is True else tmp_path / card)
    assert {path.name for path in tmp_path.iterdir()} == {name, expected}
    assert (tmp_path / expected).read_text() == model_card(encoder, name)


def test_a_missing_folder_is_named(encoder, tmp_path):
    for name, card in (("none/a.safetensors", False), ("a.safetensors", tmp_path / "none" / "a.md")):
        with pytest.raises(FileNotFoundError, match=r"cannot be written: there is no folder .*none\. Create"):
            encoder.save(tmp_path / name, model_card=card)

"""The pages made from result files, and what the evidence page says about the paper's conditioning."""

import pytest
import torch

from benchmarks import report, report_evidence
from benchmarks.report_evidence import Measure
from benchmarks.results import FOLDER
from dmzrep.networks._conditioning import CodeBias


def test_the_pages_are_those_of_the_result_files():
    written = report.pages()
    for path, text in written.items():
        assert (report.DOCS / path).read_text(encoding="utf-8") == text, "run python -m benchmarks.report"
    assert f"\n{report.readme_table()}\n" in report.README.read_text(encoding="utf-8")
    assert {path.name for path in (report.DOCS / "results").iterdir()} == {
        path.name for path in written if path.parent.name == "results"
    }


def test_each_result_file_has_a_section():
    shown = {needed for page in report.PAGES.values() for needed, _ in page.sections}
    assert {path.stem for path in FOLDER.glob("*.jsonl")} <= shown


def test_rivals_that_win_are_named():
    error = Measure("error", ("mse",), 1, high=False)
    ours = [{"mse": 1.0}, {"mse": 1.4}]
    rivals = {
        "worse": [{"mse": 9.0}],
        "near": [{"mse": 1.3}],
        "best": [{"mse": 0.5}],
        "other": [{"other": 0.0}],
    }
    assert error.lost(ours, rivals) == "error 1.2 ± 0.3: best 0.5 better, near 1.3 within the spread"
    assert error.lost(ours, {"worse": [{"mse": 9.0}]}) == ""
    line = report_evidence.compared("Claim", "memory", ours, rivals, error)
    assert line.startswith(
        "- **Claim.** Error: 1.2 ± 0.3 (2 runs, earlier version). *Baselines:* best 0.5; near 1.3; "
    )
    assert "*Limitations:* error 1.2 ± 0.3: best 0.5 better, " in line and line.endswith("(`memory.jsonl`)")


@pytest.mark.parametrize("name", report.FIGURES)
def test_figures_are_drawn(name, tmp_path):
    _, draw, _ = report.FIGURES[name]
    draw(tmp_path / name)
    assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")


def test_cross_attention_to_one_token_is_a_bias():
    attention = pytest.importorskip("diffusers.models.attention_processor").Attention
    torch.manual_seed(0)
    layer = attention(query_dim=12, cross_attention_dim=6, heads=2, dim_head=4).double()
    x, z = torch.randn(3, 20, 12).double(), torch.rand(3, 6).double()
    bias = CodeBias(6, [12]).double()
    with torch.no_grad():
        bias.linear.weight.copy_(layer.to_out[0].weight @ layer.to_v.weight)
        bias.linear.bias.copy_(layer.to_out[0].bias)
    found = layer(x, (2.0 * z - 1.0)[:, None])
    torch.testing.assert_close(found, bias(z)[0][:, None].expand_as(found))
    found.square().sum().backward()
    assert layer.to_v.weight.grad.abs().max() > 0.1
    for unused in (layer.to_q, layer.to_k):
        assert unused.weight.grad.abs().max() < 1e-12

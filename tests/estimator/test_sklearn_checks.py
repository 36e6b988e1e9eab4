"""scikit-learn's own checks, with none expected to fail."""

import pytest
from sklearn.utils import estimator_checks
from sklearn.utils.estimator_checks import parametrize_with_checks

from dmzrep import DMZEncoder, Network


def small():
    network = Network(width=16, depth=1, encoder_width=16)
    return DMZEncoder(latent_dim=8, network=network, max_iter=2, prior="independent", random_state=0)


@parametrize_with_checks([small()])
def test_scikit_learns_checks(estimator, check):
    check(estimator)


@pytest.mark.filterwarnings("ignore:X (does not have valid|has) feature names")
@pytest.mark.parametrize(
    "name",
    [
        "check_param_validation",
        "check_set_output_transform",
        "check_set_output_transform_pandas",
        "check_set_output_transform_polars",
        "check_global_output_transform_pandas",
        "check_dataframe_column_names_consistency",
        "check_transformer_get_feature_names_out",
        "check_transformer_get_feature_names_out_pandas",
    ],
)
def test_checks_that_the_decorator_leaves_out(name):
    # A check raises if it fails, and getattr does if scikit-learn has removed it.
    assert getattr(estimator_checks, name)("DMZEncoder", small()) is None

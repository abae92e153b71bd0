import pytest
from report_helpers import make_all


@pytest.fixture(scope="session")
def runs(tmp_path_factory):
    """{kind: a run of it}, each with its report."""
    return make_all(tmp_path_factory.mktemp("runs"))

import pytest

from histoscribe._errors import DependencyError, MissingError
from histoscribe._need import need
from histoscribe._registry import Registry

TABLE = Registry("number", "math", {"pi": "math:pi", "tau": "math:tau", "broken": "math:nothing"})


def test_names_are_listed_without_loading_and_resolved_when_asked() -> None:
    import math

    assert list(TABLE) == ["pi", "tau", "broken"]
    assert len(TABLE) == 3
    assert TABLE["pi"] is math.pi
    with pytest.raises(AttributeError):
        TABLE["broken"]


@pytest.mark.parametrize(("name", "fix"), [("pie", "Did you mean pi"), ("zzz", "Choose one of these")])
def test_unknown_name_lists_what_there_is(name: str, fix: str) -> None:
    with pytest.raises(MissingError, match=rf"number.*{name}.*\['broken', 'pi', 'tau'\].*{fix}"):
        TABLE[name]
    assert name not in TABLE


def test_missing_package_names_the_extra() -> None:
    assert need("math", extra="x").__name__ == "math"
    with pytest.raises(DependencyError, match=r"pip install 'histoscribe\[wings\]'.*Walk\.") as caught:
        need("no_such_package", extra="wings", instead="Walk.")
    assert isinstance(caught.value, ImportError)

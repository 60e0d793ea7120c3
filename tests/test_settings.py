import pytest

from histoscribe._errors import OptionError
from histoscribe._settings import Settings


def test_misspelt_setting_is_an_error() -> None:
    with pytest.raises(OptionError, match="devise"):
        Settings().devise = "cpu"


@pytest.mark.parametrize(("name", "value"), [("precision", "16"), ("verbosity", 4)])
def test_wrong_value_is_refused_and_changes_nothing(name: str, value: object) -> None:
    settings = Settings()
    before = getattr(settings, name)
    with pytest.raises(OptionError, match=name):
        setattr(settings, name, value)
    assert getattr(settings, name) == before

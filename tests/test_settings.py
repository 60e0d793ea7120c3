import logging

import pytest
import torch

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


def test_verbosity_says_what_the_log_shows(capsys: pytest.CaptureFixture[str]) -> None:
    log = logging.getLogger("histoscribe")
    before = log.handlers.copy(), log.level, log.propagate
    log.propagate = False  # as where nobody set logging up
    try:
        for verbosity, shown in ((0, []), (1, ["warned"]), (2, ["warned", "resolved"])):
            Settings(verbosity=verbosity)
            log.warning("warned")
            log.info("resolved")
            said = capsys.readouterr().err
            assert [word for word in ("warned", "resolved") if word in said] == shown
            assert len(log.handlers) <= 1
    finally:
        log.handlers, log.level, log.propagate = before
        Settings()


def test_a_torch_device_is_as_good_as_its_name() -> None:
    assert Settings(device=torch.device("cpu")).device == "cpu"  # type: ignore[arg-type]

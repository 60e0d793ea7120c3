import pytest

from histoscribe import settings
from histoscribe._progress import progress


@pytest.mark.parametrize(("name", "value"), [("progress", False), ("verbosity", 0)])
def test_settings_silence_the_bar(name: str, value: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, name, value)
    bar = progress(range(3), desc="work")
    assert bar.disable
    assert list(bar) == [0, 1, 2]


def test_nobody_watches_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    with progress(desc="work", total=2) as bar:
        bar.update(2)
    assert capsys.readouterr().err == ""

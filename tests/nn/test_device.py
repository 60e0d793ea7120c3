import pytest
import torch

from histoscribe import settings
from histoscribe._errors import OptionError
from histoscribe.nn._device import choose_device


def test_argument_comes_before_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "device", "nowhere")
    assert choose_device("cpu") == torch.device("cpu")


def test_settings_are_used_without_argument(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "device", "nowhere")
    with pytest.raises(OptionError, match="'nowhere': no name of a device"):
        choose_device()


@pytest.mark.skipif(torch.cuda.is_available(), reason="has a cuda device")
def test_cuda_on_a_machine_without_is_a_clear_error() -> None:
    with pytest.raises(OptionError, match=r"device: found 'cuda'.*expected one of .*cpu.*Pass device='cpu'"):
        choose_device("cuda")

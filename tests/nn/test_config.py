from typing import Any

import pytest

from histoscribe._errors import OptionError
from histoscribe.nn import PCA, Contrastive, TrainConfig


@pytest.mark.parametrize(
    ("kind", "field", "value"),
    [
        (TrainConfig, "epochs", -1),
        (TrainConfig, "batch_size", 1),
        (TrainConfig, "lr", 0),
        (TrainConfig, "lr", -1e-3),
        (TrainConfig, "lr", float("nan")),
        (TrainConfig, "weight_decay", -1),
        (TrainConfig, "warmup", 1.1),
        (TrainConfig, "clip", 0),
        (TrainConfig, "val_fraction", 0.9),
        (TrainConfig, "patience", 0),
        (TrainConfig, "precision", "16"),
        (TrainConfig, "num_workers", -1),
        (TrainConfig, "accelerator", "gpuu"),
        (TrainConfig, "devices", 0),
        (TrainConfig, "resume", "yes"),
        (TrainConfig, "resume", True),  # without checkpoint_dir
        (TrainConfig, "random_state", None),
        (TrainConfig, "epochs", True),
        (Contrastive, "dim", 1),
        (Contrastive, "hidden", -1),
        (Contrastive, "dropout", 1.0),
        (Contrastive, "temperature", 0),
        (Contrastive, "image_weight", 1.5),
        (Contrastive, "n_whiten", 2.5),
        (Contrastive, "max_overlap", -0.1),
        (PCA, "n_comps", 0),
        (PCA, "centre", 1),
    ],
)
def test_bad_value_names_class_and_field(kind: Any, field: str, value: Any) -> None:
    with pytest.raises(OptionError, match=rf"^{kind.__name__}\.{field}: found .*expected"):
        kind(**{field: value})


@pytest.mark.parametrize("kind", [TrainConfig, Contrastive, PCA])
def test_misspelt_option_is_an_error(kind: Any) -> None:
    with pytest.raises(TypeError, match="epoch"):
        kind(epoch=3)

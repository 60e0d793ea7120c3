"""Training in a kernel of Jupyter."""

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

CELLS = (
    """
from histoscribe.nn import TrainConfig
from histoscribe.nn._fit import fit
from tests.nn.neighbourhoods import encoder, rows
""",
    "history = fit(encoder(), rows(), TrainConfig(epochs=2, batch_size=8, accelerator='cpu'), val=rows(40, seed=1))",
    "print(len(history), 'epochs')",
)


@pytest.mark.weekly
def test_training_runs_in_a_kernel_and_shows_its_losses(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ipykernel")
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in CELLS])
    where = {"metadata": {"path": str(ROOT)}}
    nbclient.NotebookClient(book, timeout=120, kernel_name="python3", resources=where).execute()
    assert book.cells[2].outputs[0]["text"] == "2 epochs\n"
    widgets = book.metadata["widgets"]["application/vnd.jupyter.widget-state+json"]["state"].values()
    said = " ".join(str(widget["state"].get("value", "")) for widget in widgets)
    assert "training" in said
    assert "train_loss=" in said
    assert "val_loss=" in said

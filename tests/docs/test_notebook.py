# SPDX-License-Identifier: Apache-2.0
"""The notebook of examples/ is kept without outputs, and runs from the first cell to the last."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from docs.pages import ROOT
from pages_of_reports import read_page

NOTEBOOK = ROOT / "examples" / "chat_vector_on_the_trio.ipynb"


@pytest.fixture(scope="module")
def notebook() -> Any:
    return nbformat.read(NOTEBOOK, as_version=4)


def test_it_is_kept_without_outputs(notebook: Any) -> None:
    nbformat.validate(notebook)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert cells
    assert not any(cell.outputs or cell.execution_count for cell in cells)
    # Written as nbformat writes it, so that a change is a few lines of difference.
    assert NOTEBOOK.read_text("utf-8") == nbformat.writes(notebook, indent=1) + "\n"


def patient_client(notebook: Any, folder: Path) -> NotebookClient:
    """A client whose success does not depend on how busy the machine is.

    No cell has a time limit. Kernel and client meet at Unix sockets: of TCP ports Jupyter picks free ones and opens
    them later, when another test may have taken one. A kernel has ten minutes to start, and the outputs of a cell ten
    minutes to arrive (by default 60 and 4 seconds, after which nbclient drops them and goes on).
    """
    patience = {"timeout": None, "startup_timeout": 600, "iopub_timeout": 600, "raise_on_iopub_timeout": True}
    client = NotebookClient(notebook, resources={"metadata": {"path": str(folder)}}, **patience)
    kernel = client.create_kernel_manager()
    kernel.transport, kernel.ip = "ipc", str(folder / "kernel")
    return client


# A minute on an idle machine. The limit that ends a test that hangs is five times that, too little for a busy one.
@pytest.mark.timeout(3600)
def test_it_runs(notebook: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHATVECTOR_CACHE", str(tmp_path / "cache.jsonl"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    patient_client(notebook, tmp_path).execute()
    chosen = json.loads((tmp_path / "sweep" / "sweep.json").read_text("utf-8"))["chosen"]
    vectors = json.loads((tmp_path / "merged" / "chat_vector.json").read_text("utf-8"))["recipe"]["vectors"]
    assert [vector["scale"] for vector in vectors] == [chosen]
    assert 0 < chosen <= 1.5
    page = read_page((tmp_path / "results" / "report.html").read_text("utf-8"))
    assert page.faults == []
    said = "".join(output.get("text", "") for cell in notebook.cells for output in cell.get("outputs", ()))
    assert "merged against target, by primary figures" in said
    assert said.split("merged against target")[1].split("Better: ")[1].startswith("demo-")

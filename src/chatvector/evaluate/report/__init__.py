# SPDX-License-Identifier: Apache-2.0
"""Makes reports from what an evaluation wrote, and from nothing else: the same results give the same bytes.

    from chatvector.evaluate.report import write_report
    write_report(Path("results"), Path("results"))

writes `report.html` (one file, for people), `report.md`, and for every candidate `card.MODEL.md`, a section for its
model card with the hub's metadata.
"""

from chatvector.evaluate.report.picture import require_plot
from chatvector.evaluate.report.writing import Written, write_report

__all__ = ["Written", "require_plot", "write_report"]

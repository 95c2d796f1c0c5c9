"""The numbers of the AR-Seg, TapLab and TFC papers that a count can speak to, as they are printed.

TapLab's own tables give accuracy, frames a second and milliseconds, so its rows are those of AR-Seg's tables.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

NUMBERS = Path(__file__).with_name("numbers.csv")

OPERATIONS = "GFLOPs"  # the word of print; the numbers are GMACs
CHANGE = "dGFLOPs_pct"  # of operations, to the network at full resolution
PARAMETERS = "Params_M"
INCREASE = "dParams_M"  # of parameters, printed in brackets behind them
BD = "BD_FLOPs_pct"
METRICS = (OPERATIONS, CHANGE, PARAMETERS, INCREASE, BD)


@dataclass(frozen=True, kw_only=True)
class PrintedNumber:
    """One number of a table or of the text.

    Args:
        source: "arseg_paper", "arseg_supplement", "arseg_slides" or "tfc_paper".
        table: "1", "A4", "text A5", ...
        dataset, method, backbone, setting: as the row and its columns name them; may be empty.
        metric: one of `METRICS`.
        printed: the digits in print, with a sign or a trailing zero where print has one.
    """

    source: str
    table: str
    dataset: str
    method: str
    backbone: str
    setting: str
    metric: str
    printed: str

    @property
    def value(self) -> float:
        """The number."""
        return float(self.printed)

    @property
    def decimals(self) -> int:
        """Digits behind the point."""
        return len(self.printed.partition(".")[2])

    @property
    def row(self) -> tuple[str, ...]:
        """What it shares with the other columns of its row."""
        return (self.source, self.table, self.dataset, self.method, self.backbone, self.setting)

    @property
    def place(self) -> str:
        """Where it stands, e.g. "AR-Seg supplement, Table A4"."""
        where = self.table if self.table.startswith(("text", "slide")) else f"Table {self.table}"
        return f"{SOURCES[self.source]}, {where.replace('text ', 'text of sec. ').replace('slide-', 'slide ')}"


SOURCES = {
    "arseg_paper": "AR-Seg (CVPR 2023)",
    "arseg_supplement": "AR-Seg supplement",
    "arseg_slides": "AR-Seg slides",
    "tfc_paper": "TFC (AAAI 2024)",
}


def printed_numbers(path: Path = NUMBERS) -> list[PrintedNumber]:
    """All of them, in the order of the papers."""
    with path.open(encoding="utf-8", newline="") as file:
        return [PrintedNumber(**row) for row in csv.DictReader(file)]

"""Values of syntax elements that several files name (ITU-T H.265, 7.4)."""

from __future__ import annotations

B, P, I = range(3)  # slice_type, Table 7-7
# PartMode, Table 7-10
PART_2NX2N, PART_2NXN, PART_NX2N, PART_NXN, PART_2NXNU, PART_2NXND, PART_NLX2N, PART_NRX2N = range(8)
MODE_INTRA, MODE_INTER, MODE_SKIP = range(3)  # CuPredMode, with cu_skip_flag told apart

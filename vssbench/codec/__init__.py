"""Bitstream <-> frames: encoding, decoding, and the motion and residuals that the bitstream holds."""

from vssbench.codec.vectors import read_motion

__all__ = ["read_motion"]

"""Bitstream <-> CompressedFrame."""

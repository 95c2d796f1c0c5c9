"""HEVC syntax parser: bitstream -> motion vectors, without reconstructing a sample (ITU-T H.265)."""

"""TFC: SegFormer on key frames, and on the others its first two stages, corrected by what the similarity tells."""

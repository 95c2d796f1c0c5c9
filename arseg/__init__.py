"""AR-Seg: altering resolutions, CReFF fusion, FST training."""

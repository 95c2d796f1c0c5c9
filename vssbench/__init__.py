"""The benchmark harness: codec, metrics, counting, timing, networks, data sets, runner."""

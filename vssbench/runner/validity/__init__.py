"""The rules that a run must keep for its numbers to be believed."""

"""Clips and stills -> weights."""

"""Stored results -> tables and figures."""

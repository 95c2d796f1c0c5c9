"""The compared systems, reimplemented from their papers."""

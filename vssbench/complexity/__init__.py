"""A callable -> multiply-adds and parameters."""

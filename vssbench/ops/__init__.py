"""The tensor operations that methods share."""

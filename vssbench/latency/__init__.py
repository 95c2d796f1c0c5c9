"""A callable -> seconds, with the machine's facts."""

"""What each command does, given the catalogue of names."""

"""Image segmentation networks, split into features and classifier."""

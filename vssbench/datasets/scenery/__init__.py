"""The parts of the embedded `street` data set: textures, figures, the world they stand in, and its rendering."""

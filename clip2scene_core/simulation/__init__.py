"""A procedural town, and the LiDARs and cameras that drive through it."""

"""The teacher: CLIP, which knows words and images, as a source of features for every patch of an image."""

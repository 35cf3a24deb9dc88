"""The frozen teacher: CLIP's image encoder made dense, and its text encoder."""

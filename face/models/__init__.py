"""The morphable faces: what they have in common, one file per model, and the registry of their names."""

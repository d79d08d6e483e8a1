"""A photo speaks: its mesh, its mouth and lids, its frames."""

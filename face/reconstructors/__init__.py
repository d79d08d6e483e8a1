"""From tracked landmarks and pictures to coefficients: one file per way, and the registry of their names."""

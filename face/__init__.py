"""One face in 3D: tracking, morphable model, reconstruction, light, rendering."""

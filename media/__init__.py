"""Files in, arrays out: video frames and sound."""

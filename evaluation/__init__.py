"""What is measured, on video files, whatever made them."""

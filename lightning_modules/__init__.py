"""What is trained: the two stages of the paper."""

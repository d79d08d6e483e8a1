"""The networks of the two stages."""

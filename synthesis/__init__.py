"""From audio and a person to frames."""

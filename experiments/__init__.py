"""What is run: settings, stages, reports."""

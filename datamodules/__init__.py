"""What is fed to training, and how it is made."""

"""What is measured, on video files, whatever made them."""

import os

# POT starts every array library that it finds installed. It is given tensors of torch alone, and JAX would take three
# quarters of a GPU's memory, or end the program where it finds no GPU.
for _library in ("JAX", "TENSORFLOW", "CUPY"):
    os.environ.setdefault(f"POT_BACKEND_DISABLE_{_library}", "1")

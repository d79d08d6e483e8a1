"""A TFLite network as a function of one picture."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter


class TfliteNetwork:
    """One network of the tracker, on one thread.

    Args:
        model: The TFLite file.
    """

    def __init__(self, model: Path) -> None:
        with _without_native_messages():
            self._interpreter = Interpreter(str(model), num_threads=1)
            self._interpreter.allocate_tensors()
        self._input = self._interpreter.get_input_details()[0]["index"]
        self._outputs = {output["name"]: output["index"] for output in self._interpreter.get_output_details()}

    def __call__(self, image: np.ndarray) -> dict[str, np.ndarray]:
        """Outputs by the names in the file, less the batch dimension.

        Args:
            image: float32 (H, W, 3) in the size and range of the network.
        """
        self._interpreter.set_tensor(self._input, image[None])
        self._interpreter.invoke()
        return {name: self._interpreter.get_tensor(index)[0] for name, index in self._outputs.items()}


@contextmanager
def _without_native_messages() -> Iterator[None]:
    """Keeps the runtime from greeting on the terminal: it has no switch for it, and an error of ours is one line."""
    try:
        sys.stderr.flush()
        saved, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    except OSError:  # no terminal to protect
        yield
        return
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(nowhere)

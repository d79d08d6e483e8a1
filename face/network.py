"""A TFLite network, or a part of one, as a function of one array."""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter


class TfliteNetwork:
    """One network of the tracker, on one thread.

    Args:
        model: The contents of a TFLite file.
    """

    def __init__(self, model: bytes) -> None:
        with _without_native_messages():
            self._interpreter = Interpreter(model_content=model, num_threads=1)
            self._interpreter.allocate_tensors()
        self._input = self._interpreter.get_input_details()[0]["index"]
        self._outputs = {output["name"]: output["index"] for output in self._interpreter.get_output_details()}

    def __call__(self, image: np.ndarray) -> dict[str, np.ndarray]:
        """Outputs by the names in the file, less the batch dimension.

        Args:
            image: float32 (H, W, C) in the size and range of the network.
        """
        self._interpreter.set_tensor(self._input, image[None])
        self._interpreter.invoke()
        return {name: self._interpreter.get_tensor(index)[0] for name, index in self._outputs.items()}


def parts_of(model: bytes, cuts: Sequence[tuple[str, Sequence[str]]]) -> list[bytes]:
    """Cut the operators that lie between some tensors out of a network, once or several times.

    A network with operators that the runtime does not have can be used so, in the parts before and after them.

    Args:
        model: The contents of a TFLite file.
        cuts: For each part the name of the tensor that becomes its input, and those of its outputs.

    Returns:
        The contents of a TFLite file for each part.

    Raises:
        ValueError: The network has no tensor of that name.
    """
    network = schema.ModelT.InitFromPackedBuf(model, 0)
    network.signatureDefs = None  # they name the old inputs and outputs
    graph = network.subgraphs[0]
    numbers = {tensor.name.decode(): number for number, tensor in enumerate(graph.tensors)}
    operators, contents = graph.operators, [buffer.data for buffer in network.buffers]
    parts = []
    for source, results in cuts:
        missing = {source, *results} - numbers.keys()
        if missing:
            raise ValueError(f"the network has no tensor {', '.join(sorted(missing))}")
        graph.inputs, graph.outputs = [numbers[source]], [numbers[name] for name in results]
        graph.operators, used = _between(operators, numbers[source], graph.outputs)
        needed = {graph.tensors[number].buffer for number in used}
        for number, buffer in enumerate(network.buffers):
            buffer.data = contents[number] if number in needed else None
        builder = flatbuffers.Builder(len(model))
        builder.Finish(network.Pack(builder), b"TFL3")
        parts.append(bytes(builder.Output()))
    return parts


def _between(operators: list[Any], source: int, results: list[int]) -> tuple[list[Any], set[int]]:
    """The operators that make some tensors of another one, in order, and all tensors they touch."""
    wanted, kept = set(results), []
    for operator in reversed(operators):
        made = set(operator.outputs.tolist())
        if made & wanted and source not in made:
            kept.append(operator)
            wanted.update(operator.inputs.tolist())
    return kept[::-1], wanted


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

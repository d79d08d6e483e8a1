"""Means over all validation samples, each counted once whichever process saw it."""

import warnings

import torch
from torch import Tensor, nn
from torchmetrics import MeanMetric, Metric


class ValidationMeans(nn.Module):
    """Metrics that are collected over an epoch of validation and then added up over all processes.

    `LightningModule.log(sync_dist=True)` would average the processes' means, which is wrong as soon as one process has
    fewer samples than another, and would wait forever if it has none.

    Args:
        metrics: name -> metric with sums as states; None for a mean of numbers.
    """

    def __init__(self, metrics: dict[str, Metric | None]):
        super().__init__()
        # not one by one but as a dictionary: names may be those of attributes of a module
        self.metrics = nn.ModuleDict({name: metric or MeanMetric("disable") for name, metric in metrics.items()})

    def update(self, name: str, *values: Tensor) -> None:
        """Count the samples of a batch; `values` are the arguments of the metric, a mean's are numbers and weights."""
        self.metrics[name].update(*values)  # type: ignore[operator]

    def results(self) -> dict[str, Tensor]:
        """The values over all processes, which have to call this together; what no process counted is left out."""
        results = {}
        for name, metric in self.metrics.items():
            assert isinstance(metric, Metric)
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", ".*compute.*before.*update.*")  # of a process without samples
                value = metric.compute()
            seen = torch.tensor(metric.update_count, device=value.device)
            if torch.distributed.is_available() and torch.distributed.is_initialized():
                torch.distributed.all_reduce(seen)
            if seen:
                results[name] = value
            metric.reset()
        return results

"""Pictures of how validation frames change while stage 2 is trained."""

from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from PIL import Image, ImageDraw
from pytorch_lightning.callbacks import Callback
from torch.utils.data import default_collate

from experiments.tracking import StageWandbLogger
from face.appearance import spread


class ImageGrid(Callback):
    """Shows how a fixed few validation frames change: rendered, refined, true, and the attention between them.

    Written as `logs/images/epoch_NNNN.png` and to W&B.

    Args:
        folder: The run folder.
        every: Epochs between two pictures; the last epoch always gets one.
        count: Frames shown, spread evenly over the validation part.
    """

    titles = ("rendered", "refined", "true", "attention")

    def __init__(self, folder: Path, every: int = 2, count: int = 4):
        self.folder, self.every, self.count = folder / "logs" / "images", every, count

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Draw the picture of this epoch if it is due."""
        epoch = trainer.current_epoch + 1
        due = epoch % self.every == 0 or epoch == trainer.max_epochs
        if trainer.sanity_checking or not trainer.is_global_zero or not due:
            return
        picture = self._draw(trainer, pl_module)
        self.folder.mkdir(parents=True, exist_ok=True)
        picture.save(self.folder / f"epoch_{epoch:04d}.png")
        for logger in trainer.loggers:
            if isinstance(logger, StageWandbLogger):
                logger.log_image("validation", [picture])

    def _draw(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> Image.Image:
        dataset: Any = trainer.val_dataloaders.dataset  # type: ignore[union-attr]
        shown = [dataset[int(index)] for index in spread(len(dataset), self.count)]
        moved = pl_module.transfer_batch_to_device(default_collate(shown), pl_module.device, 0)
        batch = pl_module.on_after_batch_transfer(moved, 0)
        module: Any = pl_module
        with torch.no_grad(), trainer.precision_plugin.forward_context():
            identity = module.retrieve(batch["rendered"][:, -1])  # as at test, not the true one
            refined = module(batch["rendered"], identity)
        attention = refined.attention.float().expand(-1, 3, -1, -1) * 2 - 1
        rows = torch.stack([batch["rendered"][:, -1], refined.frame.float(), batch["target"], attention], dim=1)
        return label_grid(rows, self.titles)


def label_grid(images: torch.Tensor, titles: tuple[str, ...]) -> Image.Image:
    """Join images to one picture with a title over each column.

    Args:
        images: (rows, columns, 3, H, W) in [-1, 1].
        titles: One per column.
    """
    rows, columns, _, height, width = images.shape
    pixels = ((images.float().cpu() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
    flat = pixels.permute(0, 3, 1, 4, 2).reshape(rows * height, columns * width, 3)
    header = 16  # pixels; the built-in font is 11 high
    picture = Image.new("RGB", (columns * width, rows * height + header), "white")
    picture.paste(Image.fromarray(flat.contiguous().numpy()), (0, header))
    draw = ImageDraw.Draw(picture)
    for column, title in enumerate(titles):
        draw.text((column * width + 4, 2), title, fill="black")
    return picture

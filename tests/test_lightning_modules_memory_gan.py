import pytest
import pytorch_lightning as pl
import torch
from skimage.metrics import structural_similarity
from torch.nn import functional
from torch.utils.data import ConcatDataset, DataLoader, Dataset

from lightning_modules.frame_augmentation import FrameAugmentation
from lightning_modules.gathering import first_samples, in_global_order
from lightning_modules.memory_gan import MemoryGAN
from lightning_modules.networks.resnet import ResNet18

SIZE = 32


def make_module(seed=0, **keywords):
    torch.manual_seed(seed)
    small = {
        "similarity_threshold": 0.8,
        "channels": 8,
        "levels": 3,
        "full_channels": 8,
        "discriminator_channels": 4,
        "discriminator_layers": 2,
        "identity_size": 16,
        "spatial_size": 32,
        "memory_slots": 12,
        "top_k": 8,
        "learning_rate": 2e-3,
        "memory_learning_rate": 2e-3,
        "average_decay": 0.9,
    }
    return MemoryGAN(**(small | keywords))


class Frames(Dataset):
    """Frames of a few people: a smooth picture of each, whose rendering lacks brightness and has a black mouth."""

    def __init__(self, count=6, people=3, seed=0):
        generator = torch.Generator().manual_seed(seed)
        smooth = torch.rand(people, 3, 4, 4, generator=generator) * 1.6 - 0.8
        pictures = functional.interpolate(smooth, (SIZE, SIZE), mode="bilinear")
        self.who = torch.arange(count) % people
        people_identity = functional.normalize(torch.randn(people, 16, generator=generator), dim=1)
        jitter = 0.1 * torch.rand(count, 3, 1, 1, generator=generator)
        self.target = pictures[self.who] + jitter
        self.mask = torch.zeros(count, 1, SIZE, SIZE)
        self.mask[..., 8:24, 8:24] = 1
        self.rendered = torch.where(self.mask.bool(), self.target * 0.8, self.target)
        self.rendered[..., 14:18, 12:20] = -1
        self.identity = people_identity[self.who]

    def __len__(self):
        return len(self.who)

    def __getitem__(self, index):
        window = self.rendered[[max(index - 2, 0), max(index - 1, 0), index]]
        return {
            "rendered": window,
            "target": self.target[index],
            "face_mask": self.mask[index],
            "identity": self.identity[index],
            "index": torch.tensor(index),
        }


def make_trainer(tmp_path, **keywords):
    defaults = {
        "accelerator": "cpu",
        "max_epochs": 1,
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "default_root_dir": tmp_path,
        "num_sanity_val_steps": 0,
    }
    return pl.Trainer(**(defaults | keywords))


def loader(count=6, batch_size=2):
    return DataLoader(Frames(count), batch_size=batch_size)


def test_overfits_through_a_trainer_and_finds_its_people(tmp_path):
    module = make_module(loss_weights={**module_weights(), "adversarial": 0.1})
    trainer = make_trainer(tmp_path, max_epochs=3)
    trainer.fit(module, DataLoader(ConcatDataset(10 * [Frames(6)]), batch_size=3), loader())
    values = {name: value.item() for name, value in trainer.callback_metrics.items()}
    assert values["train/l1"] < 0.04  # 0.15 as rendered
    assert values["val/retrieval_accuracy"] == 1.0
    data = Frames()
    rendered_error = (data.rendered - data.target).square().mean((1, 2, 3))
    rendered_psnr = (-10 * (rendered_error / 4).log10()).mean().item()
    assert values["val/psnr"] > rendered_psnr + 3
    assert len(module.memory) == 3  # one slot per person


def module_weights():
    return {"adversarial": 1.0, "l1": 100.0, "attention": 2.0, "smoothness": 1e-5, "discriminator": 1.0, "triplet": 1.0}


def test_default_loss_weights_are_the_papers():
    weights = make_module().loss_weights
    assert weights == module_weights()


def test_three_steps_in_the_papers_order_each_on_its_own_network(tmp_path):
    module = make_module()
    networks = {"memory": module.spatial.project, "discriminator": module.discriminator, "generator": module.generator}

    def snapshot():
        return {
            **{
                name: [p.detach().clone() for p in network.parameters() if p is not None]
                for name, network in networks.items()
            },
            "written": [module.memory.written.clone()],
        }

    order, original = [], module._step

    def watched(optimizer, terms):
        before = snapshot()
        values = original(optimizer, terms)
        after = snapshot()
        changed = [
            name
            for name in before
            if any(not torch.equal(x, y) for x, y in zip(before[name], after[name], strict=True))
        ]
        order.append((sorted(values), changed, int(module.memory.written)))
        return values

    module._step = watched
    make_trainer(tmp_path, limit_train_batches=2).fit(module, loader())
    names = [step[0] for step in order]
    assert names == 2 * [["triplet"], ["discriminator"], ["adversarial", "attention", "l1", "smoothness"]]
    assert [step[1] for step in order[1:3]] == [["discriminator"], ["generator"]]
    # written after the memory's own step and before the step of D
    assert [step[2] for step in order] == [0, 2, 2, 2, 4, 4]


def test_memory_keys_are_the_features_after_the_step(tmp_path):
    data = Frames(3)
    module = make_module()
    make_trainer(tmp_path).fit(module, DataLoader(data, batch_size=3))
    with torch.no_grad():
        features = module.spatial(data.rendered)
    torch.testing.assert_close(module.memory.keys[:3], features, rtol=1e-4, atol=1e-5)
    assert torch.equal(module.memory.values[:3], data.identity)
    assert module.memory.source[:4].tolist() == [0, 1, 2, -1]
    assert torch.equal(module.retrieve(data.rendered), data.identity)


def test_backbone_stays_and_is_calibrated_once(tmp_path):
    module = make_module()
    convolutions = module.spatial.backbone.conv1.weight.clone()
    make_trainer(tmp_path, max_epochs=2).fit(module, loader())
    statistics = module.spatial.backbone.layer4[1].bn2.running_var.clone()
    assert module.spatial.ready
    make_trainer(tmp_path).fit(module, DataLoader(Frames(4, seed=1), batch_size=2))
    assert torch.equal(module.spatial.backbone.conv1.weight, convolutions)
    assert torch.equal(module.spatial.backbone.layer4[1].bn2.running_var, statistics)


def test_validation_values_are_those_of_the_saved_frames(tmp_path):
    module = make_module()
    trainer = make_trainer(tmp_path)
    trainer.fit(module, loader(), loader())
    metrics = trainer.callback_metrics
    module.eval()
    data, frames = Frames(), []
    for index in range(6):
        sample = data[index]
        with torch.no_grad():
            identity = module.retrieve(sample["rendered"][None, -1])
            frames.append(module(sample["rendered"][None], identity).frame)
    error = (torch.cat(frames) - data.target).double() / 2
    psnr = -10 * error.square().mean((1, 2, 3)).log10()
    inside = error[..., 8:24, 8:24].square().mean((1, 2, 3))
    assert metrics["val/psnr"].item() == pytest.approx(psnr.mean().item(), abs=1e-3)
    assert metrics["val/psnr_face"].item() == pytest.approx((-10 * inside.log10()).mean().item(), abs=1e-3)
    pairs = [(one.permute(1, 2, 0).numpy() / 2 + 0.5) for one in (*torch.cat(frames).double(), *data.target.double())]
    similar = [
        structural_similarity(ours, true, data_range=1.0, channel_axis=-1)
        for ours, true in zip(pairs[:6], pairs[6:], strict=True)
    ]
    assert metrics["val/ssim"].item() == pytest.approx(sum(similar) / 6, abs=1e-5)
    assert metrics["val/l1"].item() == pytest.approx(2 * error.abs().mean().item(), rel=1e-4)
    assert 0 <= metrics["val/retrieval_accuracy"] <= 1


def test_validation_before_training_works(tmp_path):
    values = make_trainer(tmp_path).validate(make_module(), loader(), verbose=False)[0]
    assert set(values) == {"val/psnr", "val/ssim", "val/l1", "val/psnr_face"}


def test_the_best_match_is_judged_by_speakers_where_they_are_known(tmp_path):
    class Named(Frames):
        """The identity encoder takes three people for two, so that one of them is not in the memory."""

        def __getitem__(self, index):
            return super().__getitem__(index) | {"speaker": self.who[index], "identity": self.identity[index % 2]}

    module = make_module(similarity_threshold=0.99)
    trainer = make_trainer(tmp_path, max_epochs=2)
    trainer.fit(module, DataLoader(Named(), batch_size=2), DataLoader(Named(), batch_size=2))
    expected = []
    for index in range(6):
        sample = Named()[index]
        query = module.spatial(sample["rendered"][-1:])[0]
        slots = [slot for slot in range(12) if module.memory.filled[slot]]
        best = max(slots, key=lambda slot: float(query @ module.memory.keys[slot]))
        if sample["speaker"] in module.memory.speakers:
            expected.append(float(module.memory.speakers[best] == sample["speaker"]))
        else:
            expected.append(float(module.memory.values[best] @ sample["identity"] > 0.99))
    assert len(set(module.memory.speakers.tolist()) - {-1}) == 2
    assert 0 < sum(expected) < 6
    assert trainer.callback_metrics["val/retrieval_accuracy"].item() == pytest.approx(sum(expected) / 6)


def validated_retrieval(tmp_path, module, data):
    trainer = make_trainer(tmp_path)
    trainer.validate(module, DataLoader(data, batch_size=2), verbose=False)
    return trainer.callback_metrics["val/retrieval_accuracy"].item()


class Numbered(Frames):
    """Frames whose people have the numbers they are given."""

    def __init__(self, numbers):
        super().__init__()
        self.numbers = torch.tensor(numbers)

    def __getitem__(self, index):
        return super().__getitem__(index) | {"speaker": self.numbers[index]}


def test_people_who_only_validate_are_judged_by_their_features(tmp_path):
    """As in LRW, where every clip has a speaker of its own, and in a corpus that is split by speakers."""
    module = make_module()
    people = [0, 1, 2, 0, 1, 2]
    make_trainer(tmp_path, max_epochs=2).fit(module, DataLoader(Numbered(people), batch_size=3))
    assert validated_retrieval(tmp_path, module, Numbered([7, 8, 9, 10, 11, 12])) == 1.0
    assert validated_retrieval(tmp_path, module, Numbered([1, 2, 0, 1, 2, 0])) == 0.0  # known, and of other people
    assert validated_retrieval(tmp_path, module, Numbered([0, 1, 2, 7, 2, 0])) == pytest.approx(4 / 6)  # each its own
    module.memory.values = module.memory.values.roll(1, 1)  # features of nobody here
    assert validated_retrieval(tmp_path, module, Numbered([0, 1, 2, 10, 11, 12])) == pytest.approx(3 / 6)


def test_a_match_of_whom_nobody_knows_is_judged_by_its_feature(tmp_path):
    module = make_module()
    make_trainer(tmp_path, max_epochs=2).fit(module, DataLoader(Numbered([0, 1, 2, 0, 1, 2]), batch_size=3))
    module.memory.speakers[module.memory.speakers == 0] = -1  # written by a parent
    assert validated_retrieval(tmp_path, module, Numbered([2, 1, 2, 2, 1, 2])) == 1.0


def test_without_memory_and_identity_nothing_of_them_is_used(tmp_path):
    class Other(Frames):
        """The same frames of other people."""

        def __getitem__(self, index):
            return super().__getitem__(index) | {"identity": self.identity[index].roll(3)}

    states, values = [], []
    for data in (Frames(), Other()):
        module = make_module(identity_source="none")
        trainer = make_trainer(tmp_path)
        trainer.fit(module, DataLoader(data, batch_size=2), DataLoader(data, batch_size=2))
        states.append(module.state_dict())
        values.append({name: float(value) for name, value in trainer.callback_metrics.items()})
    for name, value in states[0].items():
        assert torch.equal(value, states[1][name]), name
    assert values[0] == values[1]
    assert "val/retrieval_accuracy" not in values[0]
    assert len(module.memory) == 0
    assert torch.equal(module.retrieve(Frames().target), torch.zeros(6, 16))  # of an empty memory


def test_true_identity_validates_with_the_true_feature(tmp_path):
    module = make_module(identity_source="true")
    trainer = make_trainer(tmp_path)
    trainer.fit(module, loader(), loader())
    data = Frames()
    windows = torch.stack([data[index]["rendered"] for index in range(6)])
    with torch.no_grad():
        frames = module.eval()(windows, data.identity).frame
    error = (frames - data.target).abs().mean((1, 2, 3)).mean()
    assert trainer.callback_metrics["val/l1"].item() == pytest.approx(error.item(), rel=1e-5)
    assert "val/retrieval_accuracy" in trainer.callback_metrics
    with pytest.raises(ValueError, match="identity_source"):
        make_module(identity_source="guess")


def test_checkpoint_keeps_the_memory_bit_for_bit(tmp_path):
    module = make_module()
    trainer = make_trainer(tmp_path, max_epochs=2)
    trainer.fit(module, loader())
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    again = MemoryGAN.load_from_checkpoint(tmp_path / "a.ckpt", map_location="cpu", weights_only=True)
    for name, value in module.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), name
    assert again.memory.similarity_threshold == 0.8
    batch = next(iter(loader()))
    module.eval(), again.eval()
    assert torch.equal(
        module(batch["rendered"], batch["identity"]).frame, again(batch["rendered"], batch["identity"]).frame
    )


MOVED = {"shift": 0.1, "rotation": 10.0, "scale": 0.1}


@pytest.mark.parametrize(
    "keywords", [{}, {"decay_fraction": 0.5, "gradient_clip": 1.0, "memory_slots": 2, "augmentation": MOVED}]
)
def test_resumed_training_equals_training_in_one_go(tmp_path, keywords):
    def trainer(epochs):
        # the learning rates follow max_epochs, so both trainers know the same one
        return make_trainer(tmp_path, max_epochs=4, limit_train_batches=None, callbacks=[StopAfter(epochs)])

    whole, first, second = make_module(**keywords), make_module(**keywords), make_module(seed=9, **keywords)
    trainer(4).fit(whole, loader())
    half = trainer(2)
    half.fit(first, loader())
    half.save_checkpoint(tmp_path / "half.ckpt")
    trainer(4).fit(second, loader(), ckpt_path=str(tmp_path / "half.ckpt"), weights_only=True)
    assert int(whole.steps) == int(second.steps) == 12
    for name, value in whole.state_dict().items():
        assert torch.equal(value, second.state_dict()[name]), name


class StopAfter(pl.Callback):
    def __init__(self, epochs):
        self.epochs = epochs

    def on_train_epoch_end(self, trainer, pl_module):
        trainer.should_stop = trainer.current_epoch + 1 >= self.epochs


def test_learning_rates_are_the_memorys_and_the_gans_and_fall_linearly_at_the_end(tmp_path):
    class Watch(pl.Callback):
        rates = []  # noqa: RUF012

        def on_train_epoch_start(self, trainer, pl_module):
            self.rates.append([optimizer.param_groups[0]["lr"] for optimizer in trainer.optimizers])

    watch = Watch()
    module = make_module(memory_learning_rate=2e-4, learning_rate=1e-3, decay_fraction=0.5)
    make_trainer(tmp_path, max_epochs=8, limit_train_batches=1, callbacks=[watch]).fit(module, loader())
    share = torch.tensor([1.0, 1.0, 1.0, 1.0, 1.0, 0.75, 0.5, 0.25])
    torch.testing.assert_close(torch.tensor(watch.rates), share[:, None] * torch.tensor([2e-4, 1e-3, 1e-3]))


def test_gathered_samples_come_in_global_order():
    class Two:
        world_size = 2

    module = make_module()
    module._trainer = Two()
    dealt = torch.tensor([[7, 2, 7], [1, 9, 5]])  # a batch of 7, 1, 2, 9, 7, 5
    module.all_gather = lambda tensor: torch.stack([tensor, dealt[1] if tensor.ndim == 1 else tensor + 0.5])
    features = torch.tensor([[10.0], [20.0], [30.0]])
    index, gathered = in_global_order(module, dealt[0], features)
    assert index.tolist() == [1, 2, 5, 7, 7, 9]
    assert gathered[:, 0].tolist() == [10.5, 20.0, 30.5, 10.0, 30.0, 20.5]
    batches = [{"mask": features}, {"mask": features + 100}, {}]
    first = first_samples(module, batches, "mask", 7)[:, 0]
    assert first.tolist() == [10, 10.5, 20, 20.5, 30, 30.5, 110, 110.5, 120, 120.5, 130, 130.5]


def test_average_is_used_at_test_alone(tmp_path):
    module = make_module()
    make_trainer(tmp_path).fit(module, loader())
    batch = next(iter(loader()))
    arguments = batch["rendered"], batch["identity"]
    with torch.no_grad():
        assert torch.equal(module.train()(*arguments).frame, module.generator(*arguments).frame)
        assert torch.equal(module.eval()(*arguments).frame, module.average(*arguments).frame)
        assert not torch.equal(module.generator(*arguments).frame, module.average(*arguments).frame)
        plain = make_module(average_decay=0.0).eval()
        assert torch.equal(plain(*arguments).frame, plain.generator(*arguments).frame)


def test_augmentation_moves_what_g_and_d_see_and_not_what_the_memory_sees(tmp_path, monkeypatch):
    module, seen = make_module(augmentation=MOVED), {}
    for name in ("_update_memory", "_discriminator_losses", "_generator_losses"):
        method = getattr(module, name)

        def spied(batch, *rest, name=name, method=method):
            seen.setdefault(name, batch)
            return method(batch, *rest)

        monkeypatch.setattr(module, name, spied)

    def keep_what_g_sees(_, inputs):
        seen.setdefault("generator", inputs[0])

    module.generator.register_forward_pre_hook(keep_what_g_sees)
    make_trainer(tmp_path, max_epochs=1).fit(module, DataLoader(Frames(2), batch_size=2))
    plain = next(iter(DataLoader(Frames(2), batch_size=2)))
    wanted = FrameAugmentation(**MOVED)(plain, 0, 0)
    assert torch.equal(seen["generator"], wanted["rendered"])
    for picture in ("rendered", "target", "face_mask"):
        assert torch.equal(seen["_update_memory"][picture], plain[picture])
        assert not torch.allclose(wanted[picture], plain[picture], atol=0.01)
        assert torch.equal(seen["_discriminator_losses"][picture], wanted[picture])
        assert torch.equal(seen["_generator_losses"][picture], wanted[picture])


def test_a_memory_of_one_answers_without_encoding(monkeypatch):
    module, batch = make_module(), next(iter(loader(count=4, batch_size=4)))
    frames, identity = batch["rendered"][:, -1], batch["identity"][:1]
    with pytest.raises(RuntimeError, match="memory is empty"):
        module.retrieve(frames)
    module.spatial.calibrate(frames)
    module.memory.write(module.spatial(frames[:1]), identity, torch.tensor([0]))
    the_long_way = module.memory.retrieve(module.spatial(frames)).values
    monkeypatch.setattr(module.spatial, "forward", None)
    assert torch.equal(module.retrieve(frames), the_long_way)
    module.memory.write(torch.randn(1, 512), -identity, torch.tensor([1]))
    with pytest.raises(TypeError):  # with two, it has to be asked
        module.retrieve(frames)


def test_face_weight_scales_the_error_inside_the_mask():
    module, sample = make_module(face_weight=4.0), Frames()[0]
    batch = {name: value[None] for name, value in sample.items()}
    refined = module.generator(batch["rendered"], batch["identity"])
    weight = 1 + 4 * batch["face_mask"]
    expected = ((refined.frame - batch["target"]).abs() * weight).sum() / (3 * weight.sum())
    torch.testing.assert_close(module._generator_losses(batch, refined)["l1"], expected)


def test_bf16_trains_with_memory_in_fp32(tmp_path):
    data, module = Frames(3), make_module()
    make_trainer(tmp_path, precision="bf16-mixed").fit(module, DataLoader(data, batch_size=3))
    with torch.no_grad():
        features = module.spatial(data.rendered)
    torch.testing.assert_close(module.memory.keys[:3], features, rtol=1e-4, atol=1e-5)
    assert all(parameter.isfinite().all() for parameter in module.parameters())


def test_imagenet_needs_its_file_at_the_start_and_never_again(tmp_path):
    with pytest.raises(ValueError, match="needs spatial_weights"):
        make_trainer(tmp_path).fit(make_module(spatial_encoder="imagenet"), loader())
    path = tmp_path / "resnet18.pth"
    torch.save(ResNet18().state_dict(), path)
    module = make_module(spatial_encoder="imagenet", spatial_weights=str(path))
    trainer = make_trainer(tmp_path)
    trainer.fit(module, loader())
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    path.unlink()
    again = MemoryGAN.load_from_checkpoint(tmp_path / "a.ckpt", map_location="cpu", weights_only=True)
    assert again.spatial.weights_sha256 == module.spatial.weights_sha256 is not None
    resumed = make_trainer(tmp_path, max_epochs=2)
    resumed.fit(
        make_module(spatial_encoder="imagenet", spatial_weights=str(path)),
        loader(),
        ckpt_path=str(tmp_path / "a.ckpt"),
        weights_only=True,
    )


class ByteFrames(Frames):
    """The same frames as data modules hand them on: bytes."""

    def __getitem__(self, index):
        sample = super().__getitem__(index)
        for name in ("rendered", "target"):
            sample[name] = ((sample[name] + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
        return sample | {"face_mask": (sample["face_mask"] * 255).to(torch.uint8)}


class FromBytes(ByteFrames):
    """Numbers that networks see, of those bytes."""

    def __getitem__(self, index):
        sample = super().__getitem__(index)
        for name in ("rendered", "target"):
            sample[name] = sample[name].float() / 127.5 - 1
        return sample | {"face_mask": sample["face_mask"].float() / 255}


def test_bytes_are_learned_from_as_the_numbers_they_stand_for(tmp_path):
    weights, scores = [], []
    for frames in (ByteFrames(), FromBytes()):
        module, trainer = make_module(face_weight=4.0, augmentation=MOVED), make_trainer(tmp_path, max_epochs=2)
        trainer.fit(module, DataLoader(frames, batch_size=2), DataLoader(frames, batch_size=2))
        weights.append(module.state_dict())
        scores.append(trainer.callback_metrics)
    assert weights[0].keys() == weights[1].keys()
    for name in weights[0]:
        assert torch.equal(weights[0][name], weights[1][name]), name
    for name in scores[0]:
        assert torch.equal(scores[0][name], scores[1][name]), name

import hashlib

import pytest
import torch

from lightning_modules.networks.resnet import ResNet18
from lightning_modules.networks.spatial_encoder import SpatialEncoder


def frames(count=6, size=64, seed=0):
    generator = torch.Generator().manual_seed(seed)
    smooth = torch.rand(count, 3, 4, 4, generator=generator) * 2 - 1
    return torch.nn.functional.interpolate(smooth, (size, size), mode="bilinear")


def test_resnet18_has_torchvisions_layout():
    state = ResNet18().state_dict()
    parameters = sum(value.numel() for name, value in ResNet18().named_parameters())
    assert parameters == 11_689_512 - 512 * 1000 - 1000  # the published count, less the classifier
    blocks = [f"layer{i}.{j}" for i in range(1, 5) for j in range(2)]
    norms = ["bn1", *(f"{b}.bn{i}" for b in blocks for i in (1, 2)), *(f"layer{i}.0.downsample.1" for i in (2, 3, 4))]
    convolutions = ["conv1", *(f"{b}.conv{i}" for b in blocks for i in (1, 2))]
    expected = {f"{name}.weight" for name in convolutions} | {f"layer{i}.0.downsample.0.weight" for i in (2, 3, 4)}
    kept = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    expected |= {f"{name}.{part}" for name in norms for part in kept}
    assert set(state) == expected
    assert state["layer4.0.downsample.0.weight"].shape == (512, 256, 1, 1)


def test_resnet18_halves_five_times_then_averages():
    network = ResNet18().eval()
    shapes = []
    for layer in (network.conv1, network.layer1, network.layer2, network.layer3, network.layer4):
        layer.register_forward_hook(lambda module, given, result: shapes.append(tuple(result.shape[1:])))
    features = network(torch.zeros(2, 3, 64, 64))
    assert shapes == [(64, 32, 32), (64, 16, 16), (128, 8, 8), (256, 4, 4), (512, 2, 2)]
    assert features.shape == (2, 512)


def test_calibration_standardises_every_layer_and_the_feature():
    encoder, renders = SpatialEncoder(size=64).train(), frames(16)
    assert not encoder.ready
    encoder.calibrate(renders)
    assert encoder.ready
    outputs = []
    encoder.backbone.layer3[0].bn1.register_forward_hook(lambda module, given, result: outputs.append(result))
    raw, pool5 = encoder.backbone(encoder._normalise(renders)), encoder.pool5(renders)
    torch.testing.assert_close(pool5, (raw - encoder.pool5_mean) / encoder.pool5_std, rtol=0, atol=1e-4)
    # not exactly: running variances are those of a sample, batch variances of a population
    assert outputs[0].mean((0, 2, 3)).abs().max() < 0.02
    assert (outputs[0].std((0, 2, 3)) - 1).abs().max() < 0.02
    torch.testing.assert_close(pool5.mean(0), torch.zeros(512), rtol=0, atol=1e-4)
    assert (pool5.std(0) - 1).abs().median() < 1e-3


def test_features_have_unit_length_and_tell_frames_apart():
    encoder, renders = SpatialEncoder(size=64), frames(16)
    encoder.calibrate(renders)
    features = encoder(renders)
    torch.testing.assert_close(features.norm(dim=1), torch.ones(16))
    similarity = features @ features.T - 2 * torch.eye(16)
    brighter = encoder((renders + 0.01).clamp(-1, 1))
    assert (features * brighter).sum(1).min() > 0.9 > 0.6 > similarity.max()


def test_only_the_last_layer_is_trained_and_statistics_stay():
    encoder = SpatialEncoder(size=32)
    encoder.calibrate(frames())
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    encoder.train()
    optimizer = torch.optim.SGD([p for p in encoder.parameters() if p.requires_grad], 0.1)
    encoder(frames(seed=1))[:, 0].sum().backward()
    optimizer.step()
    changed = {name for name, value in encoder.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {"project.weight", "project.bias"}


def test_the_folded_network_follows_weights_and_precision():
    one, two = SpatialEncoder(size=32, seed=5), SpatialEncoder(size=32, seed=6)
    for encoder in (one, two):
        encoder.calibrate(frames())
    before, wanted = one(frames(seed=1)), two(frames(seed=1))
    assert not torch.allclose(before, wanted, atol=1e-2)
    one.load_state_dict(two.state_dict())
    assert torch.equal(one(frames(seed=1)), wanted)
    one.double()
    torch.testing.assert_close(one(frames(seed=1).double()), wanted.double(), rtol=0, atol=1e-4)


def test_same_seed_same_network():
    one, two, other = SpatialEncoder(size=32, seed=5), SpatialEncoder(size=32, seed=5), SpatialEncoder(size=32, seed=6)
    for name, value in one.state_dict().items():
        assert torch.equal(value, two.state_dict()[name])
    assert not torch.equal(one.backbone.conv1.weight, other.backbone.conv1.weight)


def test_reduction_is_a_mean_over_pixels():
    encoder = SpatialEncoder(size=32)
    large = frames(size=64)
    assert torch.allclose(encoder._normalise(large), encoder._normalise(torch.nn.functional.avg_pool2d(large, 2)))


def test_imagenet_file_is_loaded_and_its_hash_kept(tmp_path):
    torch.manual_seed(0)
    path = tmp_path / "resnet18.pth"
    published = ResNet18().state_dict() | {"fc.weight": torch.zeros(1000, 512), "fc.bias": torch.zeros(1000)}
    torch.save(published, path)
    encoder = SpatialEncoder("imagenet", size=32)
    assert encoder.weights_sha256 is None
    encoder.load_imagenet(path)
    assert encoder.ready
    assert torch.equal(encoder.backbone.layer2[0].conv1.weight, published["layer2.0.conv1.weight"])
    assert encoder.weights_sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    again = SpatialEncoder("imagenet", size=32)
    again.load_state_dict(encoder.state_dict())
    assert again.weights_sha256 == encoder.weights_sha256


def test_wrong_files_are_refused_in_one_line(tmp_path):
    encoder = SpatialEncoder("imagenet", size=32)
    with pytest.raises(ValueError, match=r"spatial_weights: no file .*absent.pth"):
        encoder.load_imagenet(tmp_path / "absent.pth")
    torch.save({"conv1.weight": torch.zeros(1)}, tmp_path / "other.pth")
    (tmp_path / "text.pth").write_text("not a checkpoint")
    for name in ("other.pth", "text.pth"):
        with pytest.raises(ValueError, match="is not torchvision's resnet18") as caught:
            encoder.load_imagenet(tmp_path / name)
        assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match="unknown spatial_encoder 'vgg'"):
        SpatialEncoder("vgg")
    with pytest.raises(ValueError, match="at least 2 rendered frames"):
        SpatialEncoder(size=32).calibrate(frames(1))


def test_autocast_does_not_change_the_feature():
    encoder = SpatialEncoder(size=32)
    encoder.calibrate(frames())
    with torch.autocast("cpu", torch.bfloat16):
        feature = encoder(frames())
    assert torch.equal(feature, encoder(frames()))

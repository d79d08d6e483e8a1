import pytest
import torch
from torch import nn
from torch.nn import functional

from lightning_modules.networks.discriminator import PatchDiscriminator
from lightning_modules.networks.generator import AdaIN, Generator


def inputs(batch=2, size=32, seed=0):
    generator = torch.Generator().manual_seed(seed)
    rendered = torch.rand(batch, 3, 3, size, size, generator=generator) * 2 - 1
    return rendered, functional.normalize(torch.randn(batch, 24, generator=generator), dim=1)


def make_generator(**keywords):
    torch.manual_seed(0)
    return Generator(**({"channels": 8, "levels": 4, "full_channels": 8, "identity_size": 24} | keywords))


def test_adain_normalises_every_channel_of_every_sample():
    torch.manual_seed(0)
    layer = AdaIN(5, 24)
    x, identity = 3 + 2 * torch.randn(3, 5, 8, 6), torch.randn(3, 24)
    scale, shift = layer.affine(identity).chunk(2, 1)
    expected = torch.empty_like(x)
    for b in range(3):
        for c in range(5):
            plane = x[b, c]
            normal = (plane - plane.mean()) / (plane.var(correction=0) + 1e-5).sqrt()
            expected[b, c] = (1 + scale[b, c]) * normal + shift[b, c]
    torch.testing.assert_close(layer(x, identity), expected, rtol=1e-4, atol=1e-5)


def test_adain_gradients_equal_instance_norm():
    torch.manual_seed(0)
    layer, norm = AdaIN(5, 24), nn.InstanceNorm2d(5)
    x, identity = torch.randn(3, 5, 8, 6, requires_grad=True), torch.randn(3, 24)
    weights = torch.randn(3, 5, 8, 6)
    (layer(x, identity) * weights).sum().backward()
    fused = x.grad.clone(), layer.affine.weight.grad.clone()
    x.grad = layer.affine.weight.grad = None
    scale, shift = layer.affine(identity)[..., None, None].chunk(2, 1)
    ((norm(x) * (1 + scale) + shift) * weights).sum().backward()
    torch.testing.assert_close(fused, (x.grad, layer.affine.weight.grad), rtol=1e-4, atol=1e-5)


def test_frame_is_eq_3():
    generator, (rendered, identity) = make_generator(), inputs()
    refined = generator(rendered, identity)
    expected = refined.attention * rendered[:, 2] + (1 - refined.attention) * refined.color
    torch.testing.assert_close(refined.frame, expected)
    assert refined.attention.shape == (2, 1, 32, 32)
    assert 0 < refined.attention.min() < refined.attention.max() < 1
    assert refined.color.abs().max() < 1


def test_samples_do_not_see_each_other():
    generator, (rendered, identity) = make_generator(), inputs(batch=3)
    together = generator(rendered, identity).frame
    alone = torch.cat([generator(rendered[i : i + 1], identity[i : i + 1]).frame for i in range(3)])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)


def test_bottleneck_may_be_a_single_position():
    rendered, identity = inputs(size=16)
    refined = make_generator(levels=4)(rendered, identity)
    assert refined.frame.shape == (2, 3, 16, 16)
    assert refined.frame.isfinite().all()


def test_identity_and_every_frame_of_the_window_matter():
    generator, (rendered, identity) = make_generator(), inputs()
    frame = generator(rendered, identity).color
    assert not torch.allclose(frame, generator(rendered, identity.flip(0)).color)
    for position in range(3):
        changed = rendered.clone()
        changed[:, position] = changed[:, position].flip(-1)
        assert not torch.allclose(frame, generator(changed, identity).color)


def test_dropout_is_off_at_test():
    generator, (rendered, identity) = make_generator(dropout=0.5), inputs()
    assert not torch.equal(generator(rendered, identity).color, generator(rendered, identity).color)
    generator.eval()
    assert torch.equal(generator(rendered, identity).color, generator(rendered, identity).color)


def test_bf16_keeps_the_rendered_frame_exact():
    generator, (rendered, identity) = make_generator(), inputs()
    nn.init.zeros_(generator.masks.weight)
    generator.masks.bias.data = torch.tensor([0.0, 0.0, 0.0, 30.0])  # attention 1
    with torch.autocast("cpu", torch.bfloat16):
        refined = generator(rendered, identity)
    assert refined.frame.dtype == torch.float32
    assert torch.equal(refined.frame, rendered[:, 2])


def test_sides_that_do_not_halve_are_refused():
    with pytest.raises(ValueError, match="multiples of 16, got 24x32"):
        make_generator()(torch.zeros(1, 3, 3, 24, 32), torch.zeros(1, 24))
    with pytest.raises(ValueError, match="at least 2 levels"):
        make_generator(levels=1)


def test_no_checkerboard_from_upsampling():
    # a constant picture may change towards its borders (zero padding), but not from pixel to pixel in its middle
    generator = make_generator(levels=3).eval()
    color = generator(torch.full((1, 3, 3, 128, 128), 0.3), inputs()[1][:1]).color[..., 56:72, 56:72]
    assert color.std((2, 3)).max() < 1e-4


def test_discriminator_judges_patches_of_70_px():
    torch.manual_seed(0)
    discriminator = PatchDiscriminator(8)
    rendered = torch.randn(1, 3, 3, 256, 256)
    frame = torch.randn(1, 3, 256, 256, requires_grad=True)
    logits = discriminator(rendered, frame)
    assert logits.shape == (1, 1, 30, 30)
    # what one patch depends on, norms aside
    plain = nn.Sequential(*[layer for layer in discriminator.layers if not isinstance(layer, nn.GroupNorm)])
    plain(torch.cat([rendered.flatten(1, 2), frame], 1))[0, 0, 15, 15].backward()
    seen = frame.grad[0].abs().sum(0) > 0
    assert seen.any(0).sum() == seen.any(1).sum() == 70


def test_discriminator_sees_the_window():
    discriminator, (rendered, _) = PatchDiscriminator(8), inputs(size=64)
    frame = rendered[:, 0]
    assert not torch.allclose(discriminator(rendered, frame), discriminator(rendered.flip(1), frame))

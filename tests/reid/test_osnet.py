import torch

from posedive.reid.osnet import OmniScaleBlock, OsNet


def test_a_block_sees_nine_pixels_at_its_largest_scale():
    # Without normalisation in the way: in eval mode each output depends on its receptive field.
    torch.manual_seed(0)
    block = OmniScaleBlock(16, 16).eval()
    block.gate = torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(1), torch.nn.Sigmoid())
    x = torch.zeros(1, 16, 21, 21)
    touched = x.clone()
    touched[..., 10, 10] = 5.0
    with torch.no_grad():
        streams = [_through(block, stream, x) for stream in block.streams]
        moved = [_through(block, stream, touched) for stream in block.streams]
    widths = [
        ((after - before).abs().amax((0, 1)) > 0).any(0).sum().item()
        for before, after in zip(streams, moved, strict=True)
    ]
    assert widths == [3, 5, 7, 9]


def _through(block, stream, x):
    x = block.reduce(x, None)
    for conv in stream:
        x = conv(x, None)
    return x


def test_a_quarter_of_the_width_has_the_published_size():
    # 0.2 million at x0.25, as published, without the last layers.
    net = OsNet((16, 64, 96, 128))
    count = sum(p.numel() for name, p in net.named_parameters() if not name.startswith("last"))
    assert 0.12e6 < count < 0.2e6

import pytest
import torch
from diffusers.schedulers.scheduling_ddim import DDIMScheduler

from posedive.diffusion.config import EPSILON, V_ZERO_SNR
from posedive.diffusion.loss import (
    add_noise,
    channel_weights,
    denoising_loss,
    min_snr_weights,
    offset_noise,
    target_of,
)


def test_the_last_timestep_is_pure_noise_and_its_velocity_is_the_picture():
    scheduler = DDIMScheduler(**V_ZERO_SNR)
    x_0, noise = torch.randn(1, 2, 4, 4), torch.randn(1, 2, 4, 4)
    last = torch.tensor([999])
    torch.testing.assert_close(add_noise(scheduler, x_0, noise, last), noise)
    torch.testing.assert_close(target_of(scheduler, x_0, noise, last), -x_0)


def test_a_perfect_velocity_gives_back_the_picture_at_every_timestep():
    scheduler = DDIMScheduler(**V_ZERO_SNR)
    x_0, noise = torch.randn(1, 2, 4, 4), torch.randn(1, 2, 4, 4)
    scheduler.set_timesteps(8)
    assert scheduler.timesteps[0] == 999
    for t in scheduler.timesteps:
        at = t[None]
        x_t = add_noise(scheduler, x_0, noise, at)
        velocity = target_of(scheduler, x_0, noise, at)
        _, found = scheduler.step(velocity, int(t), x_t, return_dict=False)
        torch.testing.assert_close(found, x_0, atol=1e-4, rtol=1e-4)


def test_epsilon_preset_predicts_the_noise():
    noise = torch.randn(1, 2, 4, 4)
    got = target_of(DDIMScheduler(**EPSILON), torch.zeros(1, 2, 4, 4), noise, torch.tensor([5]))
    assert got is noise


def test_min_snr_weights_by_hand():
    scheduler = DDIMScheduler(**V_ZERO_SNR)
    t = torch.tensor([10, 500, 999])
    alpha = scheduler.alphas_cumprod[t].double()
    snr = alpha / (1 - alpha)
    expected = torch.minimum(snr, torch.tensor(5.0)) / (snr + 1)
    got = min_snr_weights(scheduler, t, 5.0).double()
    torch.testing.assert_close(got[:2], expected[:2], atol=1e-5, rtol=1e-4)
    assert expected[2] == 0 and got[2] > 0  # the floor: the last timestep is trained


def test_offset_noise_shifts_a_whole_channel():
    rng = torch.Generator().manual_seed(0)
    shift = offset_noise(torch.zeros(2, 3, 4, 4), 0.5, rng)
    assert (shift == shift[:, :, :1, :1]).all() and shift.abs().max() > 0


def test_foreground_weight_counts_the_person_more_but_keeps_the_scale():
    foreground = torch.zeros(1, 1, 2, 2)
    foreground[..., 0] = 1
    target = torch.zeros(1, 1, 2, 2)
    on_person, beside = torch.zeros(1, 1, 2, 2), torch.zeros(1, 1, 2, 2)
    on_person[..., 0], beside[..., 1] = 1, 1
    one, alike = torch.ones(1), torch.ones(1)
    person = denoising_loss(on_person, target, foreground, 3.0, alike, one)
    background = denoising_loss(beside, target, foreground, 3.0, alike, one)
    # cells weigh 3 and 1, normalised to mean 1: 1.5 and 0.5; half of the cells are wrong
    torch.testing.assert_close(person, torch.tensor([0.75]))
    torch.testing.assert_close(background, torch.tensor([0.25]))


def test_a_channel_weighs_by_what_it_changes_in_the_picture():
    gains = torch.tensor([4.0, 1.0, 0.0])[:, None, None]
    weights = channel_weights(
        lambda z: (z * gains).sum(1, keepdim=True),
        torch.randn(64, 3, 8, 8),
        torch.ones(3, 1, 1),
        torch.Generator().manual_seed(0),
    )
    assert weights.mean() == pytest.approx(1)
    assert weights[2] == 0 and float(weights[0] / weights[1]) == pytest.approx(8, rel=0.1)


def test_beyond_huber_an_error_counts_by_its_size_and_not_by_its_square():
    """2 h (sqrt(e^2 + h^2) - h): of one axis, 3 and 4 with h = 4 is 5."""
    target, alike, one = torch.zeros(2, 1, 1, 1), torch.ones(1), torch.ones(2)
    found = torch.tensor([3.0, 0.0]).reshape(2, 1, 1, 1)
    loss = denoising_loss(found, target, torch.zeros(2, 1, 1, 1), 1.0, alike, one, huber=4.0)
    assert loss.tolist() == pytest.approx([8.0, 0.0])
    small = denoising_loss(0.01 * found, target, torch.zeros(2, 1, 1, 1), 1.0, alike, one, 4.0)
    assert small[0] == pytest.approx(0.03**2, rel=1e-3)

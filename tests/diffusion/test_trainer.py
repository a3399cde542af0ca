from dataclasses import replace

import numpy as np
import pytest
import torch

from posedive.diffusion.trainer import learning_rate
from tests.diffusion.examples import RECIPE, batch, make


def spoiled(step: int) -> dict[str, np.ndarray]:
    made = batch(step)
    made["target_latents"][0, 0, 0, 0, 0] = np.inf
    return made


def test_going_on_from_a_checkpoint_is_as_if_nothing_had_happened():
    whole = make()
    losses = [whole.train_step({0: batch(i)}, 1) for i in range(6)]
    first = make()
    for i in range(3):
        first.train_step({0: batch(i)}, 1)
    second = make()
    second.restore(first.state())
    again = [second.train_step({0: batch(i)}, 1) for i in range(3, 6)]
    assert again == pytest.approx(losses[3:], abs=1e-6)
    for mine, theirs in zip(second.average, whole.average, strict=True):
        torch.testing.assert_close(mine, theirs)


def test_a_checkpoint_made_before_skipped_steps_were_counted_still_loads():
    trainer = make()
    trainer.train_step({0: batch(0)}, 1)
    state = trainer.state()
    assert set(state) == {"step", "weights", "average", "optimizer", "skipped"}
    del state["skipped"]
    other = make()
    other.restore(state)
    assert (other.step, other.skipped) == (1, 0)


def test_a_step_that_is_not_finite_is_counted_and_changes_nothing_but_the_step():
    trainer = make()
    trainer.train_step({0: batch(0)}, 1)
    kept = [p.detach().clone() for p in (*trainer.parameters, *trainer.average)]
    for bad in (1, 2):
        assert trainer.train_step({0: spoiled(bad)}, 1) is None
        assert (trainer.skipped, trainer.skipped_in_a_row, trainer.step) == (bad, bad, 1 + bad)
    for now, was in zip((*trainer.parameters, *trainer.average), kept, strict=True):
        torch.testing.assert_close(now, was, rtol=0, atol=0)
    loss = trainer.train_step({0: batch(3)}, 1)
    assert loss is not None and np.isfinite(loss)
    assert (trainer.skipped, trainer.skipped_in_a_row) == (2, 0)
    again = make()
    again.restore(trainer.state())
    assert again.skipped == 2


def test_one_bad_part_skips_the_whole_step():
    trainer = make()
    assert trainer.train_step({0: batch(0), 1: spoiled(1)}, 2) is None
    assert trainer.train_step({0: batch(0), 1: batch(1)}, 2) is not None


def test_accumulated_gradients_are_those_of_one_large_batch():
    """Two parts, against the mean over the samples of both in one backward pass."""
    trainer, plain = make(), make()
    parts = {0: batch(0), 1: batch(1)}
    loss = trainer.train_step(parts, 2)
    rngs = [torch.Generator().manual_seed(hash((0, 0, part)) % 2**63) for part in parts]
    each = torch.cat(
        [plain.task(made, rng) for made, rng in zip(parts.values(), rngs, strict=True)]
    )
    each.mean().backward()
    norm = torch.nn.utils.clip_grad_norm_(plain.parameters, 1.0)
    assert norm > 0
    assert loss == pytest.approx(float(each.mean().detach()), rel=1e-5)
    compared = 0
    for ours, theirs in zip(trainer.parameters, plain.parameters, strict=True):
        if theirs.grad is None:
            assert ours.grad is None
            continue
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-4, atol=1e-6)
        compared += 1
    assert compared > 100


def test_activations_computed_twice_give_the_same_gradients():
    gradients = []
    for twice in (False, True):
        trainer = make(replace(RECIPE, condition_dropout=0.5))
        if twice:
            trainer.task.recompute_activations()
        loss = trainer.task(batch(0), torch.Generator().manual_seed(1)).mean()
        loss.backward()
        gradients.append({n: p.grad for n, p in trainer.task.named_parameters()})
    plain, recomputed = gradients
    assert sum(g is not None for g in plain.values()) > 100
    for name, gradient in plain.items():
        if gradient is None:
            assert recomputed[name] is None, name
        else:
            torch.testing.assert_close(recomputed[name], gradient, msg=name)


def test_activations_computed_twice_take_less_memory():
    kept = []
    for twice in (False, True):
        task = make().task
        if twice:
            task.recompute_activations()
        saved = 0

        def count(tensor: torch.Tensor) -> torch.Tensor:
            nonlocal saved
            saved += tensor.numel()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
            task(batch(0), torch.Generator().manual_seed(1))
        kept.append(saved)
    assert kept[1] < 0.7 * kept[0]


def test_fp16_scales_the_loss_and_its_scale_survives_a_kill():
    trainer = make(replace(RECIPE, dtype=torch.float16))
    trainer.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10)
    losses = [trainer.train_step({0: batch(i)}, 1) for i in range(2)]
    assert all(loss is not None for loss in losses)
    assert trainer.train_step({0: spoiled(2)}, 1) is None
    assert trainer.scaler.get_scale() == 2.0**9
    again = make(replace(RECIPE, dtype=torch.float16))
    again.restore(trainer.state())
    assert again.scaler.get_scale() == 2.0**9
    plain = [t.train_step({0: batch(i)}, 1) for t in [make()] for i in range(2)]
    assert losses == pytest.approx(plain, rel=0.02)


def test_looking_at_the_average_leaves_the_training_as_it_was():
    looked, plain = make(), make()
    for i in range(4):
        assert looked.train_step({0: batch(i)}, 1) == plain.train_step({0: batch(i)}, 1)
        with looked.averaged():
            assert not looked.task.training
            torch.testing.assert_close(looked.parameters[0], plain.average[0])
        assert looked.task.training


def test_learning_rate_warms_up_and_the_cosine_ends_low():
    cosine = replace(RECIPE, schedule="cosine", steps=10_000)
    assert learning_rate(cosine, 0) == pytest.approx(1e-3 / 200)
    assert learning_rate(cosine, 5000) == pytest.approx(1e-3 * (0.02 + 0.98 / 2))
    assert learning_rate(cosine, 10_000) == pytest.approx(2e-5)
    assert learning_rate(replace(RECIPE, steps=10_000), 9000) == 1e-3

"""Does a training end the same however it is run? Two workers or one; killed or left alone.

    .venv/bin/python scripts/training_equivalence.py
Trains a tiny generator on the embedded world four ways, each by the command itself:
    two          two workers
    accumulated  one worker that adds up the same two batches
    large        one worker with one batch as large: the same examples with other noise, which is
                 how far apart equal trainings may end
    killed       two workers; kill -9 of the driver, of a worker, of the driver, at random moments;
                 after the driver's death the same command again
Prints one JSON object: the losses, and how far each lies from `two`. Exit 1 when the final
validation loss of `killed` or `accumulated` is more than 1% off.
"""

import argparse
import json
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, replace
from pathlib import Path

import psutil
import yaml

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT)]

from posedive.diffusion.config import embedded_config  # noqa: E402 - the path comes first
from posedive.diffusion.generator import Generator  # noqa: E402
from posedive.diffusion.weights import load_generator, save_generator  # noqa: E402

SIZE = (32, 64)
BATCH = 4


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--steps", type=int, default=250)
    parser.add_argument("--seed", type=int, default=0, help="of the moments of the kills")
    parser.add_argument("--out", type=Path, help="a folder to keep; default: a temporary one")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        told = compare(args.out or Path(temporary), args.steps, random.Random(args.seed))
    print(json.dumps(told, indent=1))
    off = told["validation_loss_off_percent"]
    return int(max(abs(off["killed"]), abs(off["accumulated"])) > 1)


def compare(folder: Path, steps: int, rng: random.Random) -> dict:
    two = Run(folder, "two", steps, resources={"num_workers": 2})
    two.finish()
    killed = Run(folder, "killed", steps, blocks_of=two, resources={"num_workers": 2})
    kills = killed.torture(rng)
    accumulated = Run(folder, "accumulated", steps, blocks_of=two, accumulate=2)
    accumulated.finish()
    large = Run(folder, "large", steps, blocks_of=two, batch_size=2 * BATCH)
    large.finish()
    runs = {"two": two, "killed": killed, "accumulated": accumulated, "large": large}
    curves = {name: [line["loss"] for line in run.lines()] for name, run in runs.items()}
    final = {name: run.lines()[-1]["validation_loss"] for name, run in runs.items()}
    others = [name for name in runs if name != "two"]
    return {
        "steps": steps,
        "kills": kills,
        "loss_every_50_steps": curves,
        "validation_loss": final,
        "largest_gap_in_loss": {
            name: max(abs(a - b) for a, b in zip(curves[name], curves["two"], strict=True))
            for name in others
        },
        "validation_loss_off_percent": {
            name: round(100 * (final[name] / final["two"] - 1), 3) for name in others
        },
    }


class Run:
    """One training of its own output, by `posedive train`."""

    def __init__(
        self, folder: Path, name: str, steps: int, blocks_of: "Run | None" = None, **changes
    ):
        self.output, self.steps = folder / name, steps
        if blocks_of is not None and not self.output.exists():
            shutil.copytree(blocks_of.output / "blocks", self.output / "blocks")
        initial = folder / "initial"
        if not initial.exists():
            save_generator(tiny_generator(), initial)
        spec = {
            "kind": "train",
            "what": "generator",
            "model": json.loads(json.dumps(asdict(tiny_generator().config))),
            "initial": str(initial),
            "dataset": {"name": "embedded", "wide": True, "identities": 32, "seed": 100},
            "size": list(SIZE),
            "conditions": ["normals", "appearance"],
            "batch_size": BATCH,
            "steps": steps,
            "learning_rate": 2e-3,
            "min_snr_gamma": None,
            "last_timestep_share": 0.5,
            "ema_decay": 0.95,
            "precision": "fp32",
            "checkpoint": {"every_minutes": 0.01, "samples": 2},
            "output": str(self.output),
        }
        self.path = folder / f"{name}.yaml"
        self.path.write_text(yaml.safe_dump(spec | changes))

    def start(self) -> subprocess.Popen:
        with open(self.path.with_suffix(".log"), "ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "posedive", "train", str(self.path)],
                cwd=ROOT,
                stdout=log,
                stderr=log,
            )

    def finish(self) -> None:
        code = self.start().wait()
        if code:
            raise SystemExit(f"training ended with {code}: see {self.path.with_suffix('.log')}")

    def lines(self) -> list[dict]:
        path = self.output / "loss.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def torture(self, rng: random.Random) -> list[str]:
        """Kills at a random moment after each of the first fifths of the steps."""
        kills, process = [], self.start()
        for fifth, whom in enumerate(("driver", "worker", "driver"), start=1):
            self._await(process, fifth * self.steps // 5)
            time.sleep(rng.uniform(0, 50 / self.lines()[-1]["steps_per_s"]))
            if process.poll() is not None:
                kills.append(f"{whom}: too late, it had ended")
                break
            told = self.lines()[-1]["step"]
            if whom == "driver":
                process.send_signal(signal.SIGKILL)
                process.wait()
                process = self.start()
            else:
                workers = [
                    each
                    for each in psutil.Process(process.pid).children(recursive=True)
                    if "RayTrainWorker" in " ".join(each.cmdline())
                ]
                rng.choice(workers).kill()
            kills.append(f"{whom} after step {told}")
            print(kills[-1], file=sys.stderr, flush=True)
        if process.wait():
            raise SystemExit(f"training fell short: see {self.path.with_suffix('.log')}")
        return kills

    def _await(self, process: subprocess.Popen, step: int) -> None:
        """Until `step` is told, and something since now, or the process has ended."""
        begun = len(self.lines())
        while process.poll() is None:
            lines = self.lines()
            if lines and lines[-1]["step"] >= step and (len(lines) > begun or not begun):
                return
            time.sleep(0.1)


def tiny_generator() -> Generator:
    """The embedded codec, with UNets of a few channels that know nothing yet."""
    embedded = load_generator("embedded")
    base = embedded_config(SIZE)
    unet = base.unet | {
        "block_out_channels": [16, 16, 32],
        "cross_attention_dim": 16,
        "attention_head_dim": 2,
        "norm_num_groups": 8,
    }
    encoder = base.image_encoder | {
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "projection_dim": 16,
    }
    config = replace(
        base,
        conditions=("normals", "appearance"),
        unet=unet,
        vae=embedded.config.vae,
        image_encoder=encoder,
        guider_channels=(4, 8, 16),
        latent_mean=embedded.config.latent_mean,
        latent_std=embedded.config.latent_std,
    )
    generator = Generator(config)
    generator.codec.load_state_dict(embedded.codec.state_dict())
    return generator


if __name__ == "__main__":
    sys.exit(main())

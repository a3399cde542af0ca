"""PK batches: P identities with K images each, so that every anchor has K - 1 positives.

In: pids (images,), and which images are generated. Out: indices (P * K,) into them, an identity's
in a row. A batch follows from (seed, step). An epoch shows each identity once, but for a remainder
too small to fill a batch.
"""

import numpy as np
from jaxtyping import Bool, Int

from posedive.errors import DatasetError, RequestError


class PkSampler:
    """Keeps each identity's images, real and generated apart.

    Of an identity's K images `generated_per_identity` are generated ones, where it has both kinds,
    but in batches of real images alone; one that has fewer repeats some. Raises DatasetError for
    fewer than P identities, RequestError for more generated images than K.
    """

    def __init__(
        self,
        pids: Int[np.ndarray, " images"],
        generated: Bool[np.ndarray, " images"],
        identities_per_batch: int,
        images_per_identity: int,
        generated_per_identity: int,
        seed: int,
    ):
        people = np.unique(pids)
        if len(people) < identities_per_batch:
            raise DatasetError(
                f"training set: expected at least {identities_per_batch} identities for one batch,"
                f" got {len(people)}; lower identities_per_batch"
            )
        if generated_per_identity > images_per_identity:
            raise RequestError(
                f"recipe: expected at most {images_per_identity} generated_per_identity, as many as"
                f" images_per_identity, got {generated_per_identity}"
            )
        self.real = [np.flatnonzero((pids == pid) & ~generated) for pid in people]
        self.generated = [np.flatnonzero((pids == pid) & generated) for pid in people]
        self.identities_per_batch = identities_per_batch
        self.images_per_identity = images_per_identity
        self.generated_per_identity = generated_per_identity
        self.seed = seed

    def batch(self, step: int, real_alone: bool = False) -> Int[np.ndarray, " batch"]:
        epoch, place = divmod(step, len(self.real) // self.identities_per_batch)
        order = np.random.default_rng((self.seed, 0, epoch)).permutation(len(self.real))
        first = place * self.identities_per_batch
        rng = np.random.default_rng((self.seed, 1, step))
        people = order[first : first + self.identities_per_batch]
        count = 0 if real_alone else self.generated_per_identity
        return np.concatenate([self._images(person, count, rng) for person in people])

    def _images(self, person: int, count: int, rng: np.random.Generator) -> np.ndarray:
        real, generated = self.real[person], self.generated[person]
        if not len(generated):
            count = 0
        elif not len(real):
            count = self.images_per_identity
        # resize cuts a long list and repeats a short one
        drawn = np.resize(rng.permutation(generated), count)
        return np.append(np.resize(rng.permutation(real), self.images_per_identity - count), drawn)

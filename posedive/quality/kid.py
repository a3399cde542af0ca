"""Kernel inception distance: how far apart two sets of pictures are in the features of a network.

Features are (pictures, dim), one row a picture; what they mean is the network's matter.
"""

import numpy as np
from jaxtyping import Float


def kid(
    features: Float[np.ndarray, "pictures dim"], true_features: Float[np.ndarray, "pictures dim"]
) -> float:
    """Squared maximum mean discrepancy with the kernel (x.y / dim + 1)^3 (Binkowski et al. 2018).

    Row i of both may be of one person in one pose, so the estimate leaves out i against i between
    the sets as well as within them (Gretton et al. 2012, Eq. 4): its mean is right for pairs, too,
    and it can fall below 0. Needs two rows or more.
    """
    num, dim = features.shape

    def mean_kernel(a: np.ndarray, b: np.ndarray) -> float:
        kernel = (a.astype(np.float64) @ b.T.astype(np.float64) / dim + 1) ** 3
        return (kernel.sum() - np.trace(kernel)) / (num * (num - 1))

    within = mean_kernel(features, features) + mean_kernel(true_features, true_features)
    return float(within - 2 * mean_kernel(features, true_features))

"""Seeds that differ for everything that draws, all derived from the one of the configuration.

>>> derived_seed(1, "dataset", "signal") == derived_seed(1, "dataset", "background")
False
"""

import hashlib
import json


def derived_seed(seed: int, *names: str) -> int:
    """Return a seed of 63 bits for what the names say, the same in every process.

    Parameters
    ----------
    seed
        Of the configuration.
    names
        A kind and a name, such as `"model", "JetTagger"`. Two things of other names draw other numbers.
    """
    digest = hashlib.sha256(json.dumps([seed, *names]).encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1

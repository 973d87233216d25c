"""A model whose jobs a test holds, fails and counts, by files in the folder that `$SOAFLOW_HELD` names."""

import os
import time
from pathlib import Path

import torch
from torch import nn

LONGEST_HOLD = 300.0
"""Seconds after which a job goes on by itself, should its test have died."""


class Held(nn.Module):
    """Doubles its input. It fails while there is a file `broken`, and waits while there is a file `hold`."""

    def forward(self, particles: torch.Tensor) -> torch.Tensor:
        folder = Path(os.environ["SOAFLOW_HELD"])
        folder.joinpath("reached." + os.environ.get("SLURM_JOB_ID", "local")).touch()
        if folder.joinpath("broken").exists():
            raise RuntimeError("the fault that the test has planted")
        end = time.monotonic() + LONGEST_HOLD
        while folder.joinpath("hold").exists() and time.monotonic() < end:
            time.sleep(0.1)
        return particles * 2.0

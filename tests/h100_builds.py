"""Builds of the models of config/gpu.yaml for an H100 that is not there, each made once."""

from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from multiprocessing import get_context
from pathlib import Path

import fake_h100
from gpu_workshop import Workshop

from soaflow.archives import AOT
from soaflow.description import Description, read_description
from soaflow.export.archives import described
from soaflow.export.compilation import compile_program
from soaflow.export.program import read_program
from soaflow.gpu_settings import GpuSettings, settings_applied
from soaflow.profiles import BALANCED, find_profile
from soaflow.targets import find_target


@dataclass(frozen=True)
class Build:
    """What a compilation gives and what it leaves in its folder."""

    folder: Path
    records: dict[str, bytes]
    description: Description

    @cached_property
    def archive(self) -> bytes:
        """What is handed over."""
        return described(self.records, self.description)

    @cached_property
    def library(self) -> Path:
        (content,) = (content for name, content in self.records.items() if name.endswith(".so"))
        path = self.folder / "library.so"
        path.write_bytes(content)
        return path

    @cached_property
    def wrapper(self) -> str:
        """The source of what launches the kernels."""
        (path,) = self.folder.glob("cache/*/model.wrapper.cpp")
        return path.read_text()

    @cached_property
    def kernels(self) -> list[str]:
        """The sources of the kernels."""
        sources = [path.read_text() for path in self.folder.glob("cache/*/*.py")]
        return [source for source in sources if "@triton.jit" in source]


class Builds:
    """Builds programs of the models of config/gpu.yaml for an H100, with the settings of jobs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.workshop = Workshop(folder, "sm_90")
        self.made: dict[tuple[str, str], Build] = {}

    def of(self, model: str, dtype: str) -> Build:
        if (model, dtype) not in self.made:
            self.made[model, dtype] = self.in_folder(self.folder / f"{model}.{dtype}", model, dtype)
        return self.made[model, dtype]

    def in_folder(self, folder: Path, model: str, dtype: str) -> Build:
        path, target, profile = self.workshop.program(model, dtype), find_target("cuda-sm_90"), BALANCED
        folder.mkdir()
        program = fake_h100.with_fake_weights(read_program(path))
        with settings_applied(GpuSettings()), fake_h100.believed_in():
            compiled = compile_program(program, target, find_profile(profile), folder, model)
        description = replace(read_description(path), kind=AOT, targets=(target.name,), profile=profile)
        return Build(folder, compiled.records, description)


def archive_of_a_fresh_process(folder: Path, model: str, dtype: str) -> bytes:
    """Build as a job does, in a process that has built nothing before; the folder is made."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        return process.submit(_archive_in, folder, model, dtype).result()


def _archive_in(folder: Path, model: str, dtype: str) -> bytes:
    folder.mkdir()
    return Builds(folder).of(model, dtype).archive

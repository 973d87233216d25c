"""The models of config/gpu.yaml with small data, in artifacts for this machine's GPU, without Snakemake."""

from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
import yaml
from torch import nn

from soaflow.config import Config
from soaflow.events.shards import write_shard
from soaflow.export.aot import write_aot
from soaflow.export.jit import write_jit
from soaflow.export.program import write_program
from soaflow.infer.job import run_job
from soaflow.infer.loading import load_backend
from soaflow.infer.proof import Proof
from soaflow.infer.variants import Backend, Device, Variant
from soaflow.models.loading import build_model
from soaflow.models.weights import write_weights
from soaflow.soa.storage import PREDICTIONS, map_blob, read_header

REPOSITORY = Path(__file__).parents[1]
EVENTS = 3000


@dataclass(frozen=True)
class Predicted:
    """What a job wrote."""

    items: dict[str, np.ndarray]
    proof: Proof


class Workshop:
    """Builds what a variant runs, each file once, and runs it."""

    def __init__(self, folder: Path, architecture: str) -> None:
        self.folder = folder
        self.known: dict[tuple[str, str], Predicted] = {}
        self.target = f"cuda-{architecture}"
        text = (REPOSITORY / "config/gpu.yaml").read_text().replace("cuda-sm_90", self.target)
        entry = yaml.safe_load(text)
        entry["datasets"]["toy"] |= {"events": EVENTS, "shards": 1}
        schema = yaml.safe_load((REPOSITORY / "workflow/schemas/config.schema.yaml").read_text())
        self.config = Config.from_mapping(entry, schema)

    @cached_property
    def events(self) -> Path:
        path = self.folder / "events.h5"
        write_shard(self.config.datasets["toy"], 0, path)
        return path

    def made_from(self, model: str) -> dict[str, object]:
        found = self.config.models[model]
        return {
            "class_path": found.class_path,
            "arguments": found.arguments,
            "seed": self.config.model_seed(model),
        }

    def built(self, model: str) -> nn.Module:
        """Build the model, with weights large enough for its outputs to depend on its inputs in bfloat16."""
        made = build_model(**self.made_from(model))
        with torch.no_grad():
            for weight in made.parameters():
                if weight.dim() > 1:
                    weight.mul_(1.8)
        return made

    def file(self, model: str, variant: Variant) -> Path:
        """The weights or the artifact that a variant loads."""
        found = self.config.models[model]
        if variant.backend is Backend.EAGER:
            path = self.folder / f"{model}.weights.pt"
            if not path.exists():
                write_weights(path, self.built(model))
            return path
        if variant.backend is Backend.JIT:
            path = self.folder / f"{model}.{variant.dtype}.pt"
            if not path.exists():
                about = self.about(model, variant.dtype)
                write_jit(self.built(model), found.signature, path, mode=found.jit, **about)
            return path
        path = self.folder / f"{model}.{variant.dtype}.{variant.target}.pt2"
        if not path.exists():
            write_aot(self.program(model, variant.dtype), variant.target, path, scratch=self.folder)
        return path

    def program(self, model: str, dtype: str) -> Path:
        """The program from which the AOT artifacts of a model are built."""
        found = self.config.models[model]
        path = self.folder / f"{model}.{dtype}.program.pt2"
        if not path.exists():
            about = self.about(model, dtype)
            stores = found.store_outputs
            write_program(self.built(model), found.signature, path, store_outputs=stores, **about)
        return path

    def about(self, model: str, dtype: str) -> dict[str, object]:
        return {"model_name": model, "dtype": dtype, "origin": self.made_from(model)}

    def on_cpu(self, model: str, name: str) -> Predicted:
        """What a variant or the reference gives on the CPU; run once."""
        folder = self.folder / f"{model}.{name}"
        if (model, name) not in self.known:
            folder.mkdir()
            self.known[model, name] = self.run(model, self.variant(name, model), folder)
        return self.known[model, name]

    def variant(self, name: str, model: str, **changes: object) -> Variant:
        return replace(self.config.variant(name, model), **changes)

    def run(self, model: str, variant: Variant, folder: Path) -> Predicted:
        """Run a variant; one on the CPU in its own process, as it has one thread, and CUDA starts some."""
        self.file(model, variant)
        if variant.device is Device.CUDA:
            return self.run_here(model, variant, folder)
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
            return process.submit(self.run_here, model, variant, folder).result()

    def run_here(self, model: str, variant: Variant, folder: Path) -> Predicted:
        file, signature = self.file(model, variant), self.config.models[model].signature
        predictions, proof = folder / "predictions.h5", folder / "proof.json"
        made = run_job(
            lambda: load_backend(variant, signature, artifact=file, weights=file, **self.made_from(model)),
            signature,
            self.events,
            predictions,
            proof,
            variant=variant,
            attributes={"dataset": "toy", "shard": 0, "model": model},
        )
        blob = map_blob(read_header(predictions, PREDICTIONS), "predictions")
        items = {item: np.array(blob.by_row(item)) for item in blob.placement.layout.names}
        return Predicted(items, made)

import re
from dataclasses import asdict
from pathlib import Path

import yaml
from snakemake.exceptions import WorkflowError

from soaflow.config import Config
from soaflow.errors import SoaflowError
from soaflow.provenance import class_module, code_digest


def read_settings():
    """The checked configuration; a mistake in it stops Snakemake with one sentence."""
    schema = Path(workflow.basedir) / "workflow/schemas/config.schema.yaml"
    try:
        return Config.from_mapping(config, yaml.safe_load(schema.read_text()))
    except SoaflowError as error:
        raise WorkflowError(str(error)) from error


def one_of(names):
    """A regular expression for exactly these names; it matches nothing if there are none."""
    return "|".join(map(re.escape, names)) or "(?!)"


settings = read_settings()


wildcard_constraints:
    dataset=one_of(settings.datasets),
    shard=r"\d+",
    model=one_of(settings.models),
    dtype=one_of(["float64", "float32", "float16", "bfloat16"]),
    target=r"[a-z0-9_-]+",


def model_of(wildcards):
    return settings.models[wildcards.model]


def model_class(wildcards):
    """What makes the model, as the configuration says it, and the seed of its initial weights."""
    model = model_of(wildcards)
    return {
        "class_path": model.class_path,
        "arguments": model.arguments,
        "seed": settings.seed,
    }


def model_signature(wildcards):
    return model_of(wildcards).signature.to_mapping()


def model_code(wildcards):
    return code_digest(class_module(model_of(wildcards).class_path))


def event_files(dataset):
    return expand(
        "results/events/{dataset}/{shard}.h5",
        dataset=dataset,
        shard=range(settings.datasets[dataset].shards),
    )


def run_files(pattern, *, reference):
    """The pattern filled with every inference job, those of the reference or the others."""
    return [
        pattern.format(
            dataset=run.dataset, shard=run.shard, model=run.model, variant=run.variant
        )
        for run in settings.runs(reference=reference)
    ]

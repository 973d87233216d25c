# What every stage asks of the configuration.

import os
import re
from dataclasses import asdict
from pathlib import Path

import yaml
from snakemake.exceptions import WorkflowError

from soaflow.config import Config
from soaflow.errors import SoaflowError
from soaflow.gpu import gpus
from soaflow.infer.timing_settings import EFFORTS
from soaflow.infer.variants import COMPUTING_DTYPES, REFERENCE
from soaflow.profiles import PROFILES
from soaflow.provenance import class_module, code_digest
from soaflow.targets import CPU_TARGETS, CUDA_PATTERN


def read_settings():
    """The checked configuration; a mistake in it stops Snakemake with one sentence."""
    schema = Path(workflow.source_path("../schemas/config.schema.yaml"))
    try:
        return Config.from_mapping(
            config, yaml.load(schema.read_text(), Loader=yaml.CSafeLoader)
        )
    except SoaflowError as error:
        raise WorkflowError(str(error)) from error


def read_model_code(models):
    """The digest of each model's own code; a missing or faulty file stops Snakemake with one sentence."""
    digests = {}
    for name, model in models.items():
        try:
            digests[name] = code_digest(class_module(model.class_path))
        except SoaflowError as error:
            raise WorkflowError(
                f"configuration: key 'models.{name}.class': {error}"
            ) from error
    return digests


def script_code(name):
    """The digest of a script with everything that it imports."""
    return code_digest(workflow.source_path(f"../scripts/{name}.py"))


def runs_jobs_here():
    """Whether this Snakemake decides that jobs run on this machine.

    It does not where it submits them, just plans, reports or unlocks, nor where it was itself submitted: there the job
    says in its own log what the machine lacks.
    """
    return (
        workflow.executor_plugin is not None
        and workflow.local_exec
        and not workflow.dryrun
        and not workflow.remote_exec
    )


def count_gpus_here():
    """Say how many GPUs this machine has, which Snakemake takes to be without end, unless --resources gpu=N says it.

    Jobs beyond these would hold a core while they wait for a GPU.
    """
    if "gpu" not in workflow.global_resources:
        workflow.register_resource("gpu", len(gpus()))


def one_of(names):
    """A regular expression for exactly these names; it matches nothing if there are none."""
    return "|".join(map(re.escape, names)) or "(?!)"


settings = read_settings()

# What thousands of jobs are asked for is found once.
MODEL_CODE = read_model_code(settings.models)
MODEL_SIGNATURES = {
    name: model.signature.to_mapping() for name, model in settings.models.items()
}
MODEL_CLASSES = {
    name: {
        "class_path": model.class_path,
        "arguments": model.arguments,
        "seed": settings.model_seed(name),
    }
    for name, model in settings.models.items()
}

# TorchScript orders what it scripts by Python's string hashes; jobs inherit the setting.
os.environ.setdefault("PYTHONHASHSEED", "0")


wildcard_constraints:
    dataset=one_of(settings.datasets),
    shard=r"\d+",
    model=one_of(settings.models),
    dtype=one_of(COMPUTING_DTYPES),
    target=f"{one_of(CPU_TARGETS)}|{CUDA_PATTERN}",
    profile=one_of(PROFILES),
    effort=one_of(EFFORTS),


def model_of(wildcards):
    return settings.models[wildcards.model]


def model_class(wildcards):
    """What makes the model, as the configuration says it, and the seed of its initial weights."""
    return MODEL_CLASSES[wildcards.model]


def model_signature(wildcards):
    return MODEL_SIGNATURES[wildcards.model]


def model_code(wildcards):
    return MODEL_CODE[wildcards.model]


def run_files(pattern, model=None):
    """The pattern filled with every inference job but the reference's, or with those of one model.

    A pattern without the shard stands for all shards of a dataset, and is filled once.
    """
    filled = (
        pattern.format(
            dataset=run.dataset, shard=run.shard, model=run.model, variant=run.variant
        )
        for run in settings.runs()
        if model in (None, run.model)
    )
    return list(dict.fromkeys(filled))


def dataset_files(pattern, wildcards=None, **replaced):
    """The pattern filled with every shard of the dataset that the wildcards or their replacements name."""
    named = {**(wildcards or {}), **replaced}
    shards = range(settings.datasets[named["dataset"]].shards)
    return [pattern.format(**(named | {"shard": shard})) for shard in shards]


def event_files(dataset):
    return dataset_files("results/events/{dataset}/{shard}.h5", dataset=dataset)


FEW_SHARDS = 50


def if_few_shards(group):
    """The group of a job that waits for all shards of a model; none where these are many.

    Whenever a job ends, Snakemake counts the inputs of every group that waits for it, all of them, so that planning
    and running would take a time that grows with the square of the shards. Beside so many jobs, one submission
    more for each of these costs nothing.
    """

    def group_of(wildcards):
        datasets = model_of(wildcards).datasets
        shards = sum(settings.datasets[name].shards for name in datasets)
        return group if shards <= FEW_SHARDS else None

    return group_of


PREDICTIONS = "results/predictions/{dataset}/{shard}/{model}.{variant}.h5"


def first_events(wildcards):
    """The shard that stands for all where one is enough: on emulated CPUs, and where calls are timed."""
    return f"results/events/{model_of(wildcards).datasets[0]}/0.h5"

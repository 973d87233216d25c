import os
import re
from dataclasses import asdict
from datetime import date
from pathlib import Path

import yaml
from snakemake.exceptions import WorkflowError

from soaflow.config import Config
from soaflow.errors import DeviceError, SoaflowError, TargetError
from soaflow.infer.devices import require_device
from soaflow.infer.emulated import EMULATED_CPUS
from soaflow.infer.variants import COMPUTING_DTYPES, REFERENCE
from soaflow.profiles import PROFILES
from soaflow.provenance import class_module, code_digest
from soaflow.targets import (
    CPU_TARGETS,
    CUDA_PATTERN,
    SAME_BITS_FROM,
    find_target,
    levels_of,
    require_buildable,
)


def read_settings():
    """The checked configuration; a mistake in it stops Snakemake with one sentence."""
    schema = Path(workflow.source_path("../schemas/config.schema.yaml"))
    try:
        return Config.from_mapping(config, yaml.safe_load(schema.read_text()))
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


def one_of(names):
    """A regular expression for exactly these names; it matches nothing if there are none."""
    return "|".join(map(re.escape, names)) or "(?!)"


settings = read_settings()
TODAY = date.today()
MODEL_CODE = read_model_code(settings.models)

# TorchScript orders what it scripts by Python's string hashes; jobs inherit the setting.
os.environ.setdefault("PYTHONHASHSEED", "0")


wildcard_constraints:
    dataset=one_of(settings.datasets),
    shard=r"\d+",
    model=one_of(settings.models),
    dtype=one_of(COMPUTING_DTYPES),
    target=f"{one_of(CPU_TARGETS)}|{CUDA_PATTERN}",
    profile=one_of(PROFILES),


def model_of(wildcards):
    return settings.models[wildcards.model]


def model_class(wildcards):
    """What makes the model, as the configuration says it, and the seed of its initial weights."""
    model = model_of(wildcards)
    return {
        "class_path": model.class_path,
        "arguments": model.arguments,
        "seed": settings.model_seed(model.name),
    }


def model_signature(wildcards):
    return model_of(wildcards).signature.to_mapping()


def model_code(wildcards):
    return MODEL_CODE[wildcards.model]


def event_files(dataset):
    return expand(
        "results/events/{dataset}/{shard}.h5",
        dataset=dataset,
        shard=range(settings.datasets[dataset].shards),
    )


def run_files(pattern, model=None):
    """The pattern filled with every inference job but the reference's, or with those of one model.

    A pattern without the shard stands for all shards of a dataset, and is filled once.
    """
    filled = (
        pattern.format(**asdict(run))
        for run in settings.runs()
        if model in (None, run.model)
    )
    return list(dict.fromkeys(filled))


def verdict_files(model=None):
    """The verdicts on every variant, or on those of one model."""
    return run_files("results/verdicts/{dataset}/{model}.{variant}.json", model)


def dataset_entry(wildcards):
    return config["datasets"][wildcards.dataset]


def dataset_seed(wildcards):
    return settings.dataset_seed(wildcards.dataset)


def source_files(wildcards):
    """Files that the dataset is read from; none for a generated one."""
    return dataset_entry(wildcards).get("files", [])


TRAINED = [name for name, model in settings.models.items() if model.training]
NOT_TRAINED = [name for name in settings.models if name not in TRAINED]


def training_events(wildcards):
    return event_files(model_of(wildcards).training_dataset)


def training_entry(wildcards):
    return config["models"][wildcards.model]["training"]


def given_weights(wildcards):
    """The state dict that the configuration names, if it does."""
    weights = model_of(wildcards).weights
    return [] if weights is None else [weights]


def buildable_program(wildcards):
    """The program, unless this machine cannot build for the target and the job would run here."""
    if workflow.local_exec:
        try:
            require_buildable(find_target(wildcards.target))
        except TargetError as error:
            raise WorkflowError(str(error)) from error
    return f"results/programs/{wildcards.model}.{wildcards.dtype}.pt2"


def level_artifacts(wildcards):
    """The artifacts for each level of x86-64 among the targets; there must be one."""
    levels = levels_of(settings.targets)
    if not levels:
        raise WorkflowError(
            "configuration: key 'targets' has no level of x86-64 to put into a fat artifact: add x86-64-v3, for one"
        )
    stem = f"results/artifacts/{wildcards.model}.{wildcards.dtype}"
    return [f"{stem}.{level}.{wildcards.profile}.pt2" for level in levels]


def level_passports(wildcards):
    return [f"{artifact}.json" for artifact in level_artifacts(wildcards)]


def profile_artifacts(wildcards):
    """An artifact in each build profile."""
    return expand(
        "results/artifacts/{model}.{dtype}.{target}.{profile}.pt2",
        profile=PROFILES,
        **wildcards,
    )


def profile_passports(wildcards):
    return [f"{artifact}.json" for artifact in profile_artifacts(wildcards)]


def profile_plots():
    """Those of the models whose configuration asks for them."""
    return [
        f"results/report/profiles/{name}.float32.native.svg"
        for name, model in settings.models.items()
        if model.measure_profiles
    ]


def store_outputs(wildcards):
    return model_of(wildcards).store_outputs


def jit_mode(wildcards):
    return model_of(wildcards).jit


CPU_VARIANTS = [REFERENCE.name] + [
    name for name, variant in settings.variants.items() if variant.device == "cpu"
]
GPU_VARIANTS = [name for name in settings.variants if name not in CPU_VARIANTS]


def require_here(variant):
    """Refuse a variant whose device this machine lacks, unless the job runs on another machine."""
    if workflow.local_exec:
        try:
            require_device(variant.device, asked_by=f"variant '{variant.name}'")
        except DeviceError as error:
            raise WorkflowError(str(error)) from error


def model_files(wildcards):
    """What the variant loads: the weights, or an artifact with its passport."""
    variant = settings.variant(wildcards.variant)
    require_here(variant)
    if variant.backend == "eager":
        return {"weights": f"results/weights/{wildcards.model}.pt"}
    stem = f"results/artifacts/{wildcards.model}.{variant.dtype}"
    endings = {
        "jit": "pt",
        "onnx": "onnx",
        "aot": f"{variant.target}.{variant.profile}.pt2",
    }
    artifact = f"{stem}.{endings[variant.backend]}"
    return {"artifact": artifact, "passport": f"{artifact}.json"}


def variant_entry(wildcards):
    return asdict(settings.variant(wildcards.variant))


def output_tolerances(wildcards):
    """The tolerance of every output item, for the dtype that the variant computes in."""
    dtype = settings.variant(wildcards.variant).dtype
    return tolerance_entries(wildcards.model, dtype)


def shard_names(wildcards):
    """Names of the shards that a verdict must be made of."""
    return [str(shard) for shard in range(settings.datasets[wildcards.dataset].shards)]


def measurement_files(dataset, model, variant):
    return expand(
        "results/differences/{dataset}/{shard}/{model}.{variant}.json",
        dataset=dataset,
        shard=range(settings.datasets[dataset].shards),
        model=model,
        variant=variant,
    )


def variant_measurements(wildcards):
    """The differences of a variant on all shards."""
    return measurement_files(wildcards.dataset, wildcards.model, wildcards.variant)


def yard_measurements(wildcards):
    """The differences of eager float32, by which the variant is judged; none for that variant itself."""
    yard = settings.yard_of(wildcards.model)
    if yard in (None, wildcards.variant):
        return []
    return measurement_files(wildcards.dataset, wildcards.model, yard)


def variant_waivers(wildcards):
    """The waivers for the variant, each with whether it has expired."""
    return [
        asdict(waiver.on(TODAY))
        for waiver in settings.waivers
        if waiver.concerns(wildcards.dataset, wildcards.model, wildcards.variant)
    ]


def variant_yardstick(wildcards):
    """How far beyond eager float32's error the variant may lie, if the configuration says it for its dtype."""
    found = settings.yardsticks.get(settings.variant(wildcards.variant).dtype)
    return None if found is None else asdict(found)


def sliced_items(wildcards):
    """The items that a model is called with of the rows that it predicts for."""
    signature = model_of(wildcards).signature
    specs = [
        spec
        for spec in signature.inputs
        if spec.collection == signature.sliced_collection
    ]
    return {
        signature.sliced_collection: [item for spec in specs for item in spec.items]
    }


def dtype_tolerances(wildcards):
    """The tolerance of every output item, for the dtype that an artifact computes in."""
    return tolerance_entries(wildcards.model, wildcards.dtype)


def tolerance_entries(model, dtype):
    tolerances = settings.item_tolerances(model, dtype)
    return {item: asdict(tolerance) for item, tolerance in tolerances.items()}


def no_tolerances(wildcards):
    """A tolerance of nothing for every output item: the bits must be the same."""
    return {
        item: {"absolute": 0.0, "relative": 0.0}
        for item in tolerance_entries(wildcards.model, wildcards.dtype)
    }


def emulated_cpu(wildcards):
    return EMULATED_CPUS[wildcards.target]


def first_events(wildcards):
    """The shard that an emulated CPU runs on."""
    return f"results/events/{model_of(wildcards).datasets[0]}/0.h5"


def first_reference(wildcards):
    dataset = model_of(wildcards).datasets[0]
    return f"results/predictions/{dataset}/0/{wildcards.model}.reference.h5"


def portability_verdicts(wildcards):
    """What must pass for a model to be called portable.

    Small calls are right on an emulated CPU of each level among the targets; and the reproducible profile
    gives there, from the first level with vector registers up, the bits that it gives here.
    """
    levels = [level for level in levels_of(settings.targets) if level in EMULATED_CPUS]
    if not levels:
        raise WorkflowError(
            f"configuration: key 'targets' has no target that can be emulated: add {' or '.join(EMULATED_CPUS)}"
        )
    stem = f"results/portability/{wildcards.model}.float32"
    right = expand(f"{stem}.{{target}}.balanced.reference.json", target=levels)
    same = expand(
        f"{stem}.{{target}}.reproducible.bits.json",
        target=[
            level for level in levels if find_target(level).level >= SAME_BITS_FROM
        ],
    )
    return right + same


def trained_targets():
    """Model and output of every training target, for which there is a physics plot."""
    return [
        (name, target.output)
        for name, model in settings.models.items()
        if model.training
        for target in model.training.targets
    ]


def learning_curves():
    return expand("results/report/learning_curves/{model}.svg", model=TRAINED)


def physics_plots():
    return [
        f"results/report/physics/{model}.{output}.svg"
        for model, output in trained_targets()
    ]


def difference_plots():
    return expand("results/report/differences/{model}.svg", model=settings.models)


def parity_plots():
    return expand("results/report/parity/{model}.svg", model=settings.models)


def target_entry(wildcards):
    """The training target whose output the plot shows, as the configuration says it."""
    targets = training_entry(wildcards)["targets"]
    return next(target for target in targets if target["output"] == wildcards.tensor)


def validation_fraction(wildcards):
    return model_of(wildcards).training.validation_fraction


def reference_predictions(wildcards):
    dataset = model_of(wildcards).training_dataset
    return expand(
        "results/predictions/{dataset}/{shard}/{model}.reference.h5",
        dataset=dataset,
        shard=range(settings.datasets[dataset].shards),
        model=wildcards.model,
    )


def target_prediction_item(wildcards):
    """The item of the predictions file that the target's output fills."""
    outputs = model_of(wildcards).signature.outputs
    return next(
        output.items[0] for output in outputs if output.name == wildcards.tensor
    )


def model_verdicts(wildcards):
    return verdict_files(wildcards.model)


def model_references(wildcards):
    """The reference's predictions for all datasets and shards of the model."""
    datasets = model_of(wildcards).datasets
    return [
        f"results/predictions/{dataset}/{shard}/{wildcards.model}.reference.h5"
        for dataset in datasets
        for shard in range(settings.datasets[dataset].shards)
    ]


def model_predictions(wildcards):
    return run_files(
        "results/predictions/{dataset}/{shard}/{model}.{variant}.h5",
        model=wildcards.model,
    )


def model_measurements(wildcards):
    return run_files(
        "results/differences/{dataset}/{shard}/{model}.{variant}.json",
        model=wildcards.model,
    )


def model_proofs(wildcards):
    return run_files(
        "results/predictions/{dataset}/{shard}/{model}.{variant}.proof.json",
        model=wildcards.model,
    )


def performance_plots():
    return expand("results/report/performance/{model}.svg", model=settings.models)

# What a variant loads, and where it can run.

from soaflow.errors import DeviceError
from soaflow.infer.devices import require_device

CPU_VARIANTS = [REFERENCE.name] + [
    name for name, variant in settings.variants.items() if variant.device == "cpu"
]
GPU_VARIANTS = [name for name in settings.variants if name not in CPU_VARIANTS]
VARIANT_ENTRIES = {
    (model, variant): asdict(settings.variant(variant, model))
    for model in settings.models
    for variant in (REFERENCE.name, *settings.variants)
}


def require_here(variant):
    """Refuse a variant whose device this machine lacks, if it is this machine that will run it."""
    if runs_jobs_here():
        try:
            require_device(variant.device, asked_by=f"variant '{variant.name}'")
        except DeviceError as error:
            raise WorkflowError(str(error)) from error
        if variant.device == "cuda":
            count_gpus_here()


def model_files(wildcards):
    """What the variant loads: the weights, or an artifact with its passport."""
    variant = settings.variant(wildcards.variant, wildcards.model)
    require_here(variant)
    return variant_files(wildcards.model, variant)


def variant_files(model, variant):
    """What any variant of a model loads, by what it is to the job."""
    if variant.backend == "eager":
        return {"weights": f"results/weights/{model}.pt"}
    stem = f"results/artifacts/{model}.{variant.dtype}"
    endings = {
        "jit": "pt",
        "onnx": "onnx",
        "aot": f"{variant.target}.{variant.profile}.pt2",
    }
    artifact = f"{stem}.{endings[variant.backend]}"
    return {"artifact": artifact, "passport": f"{artifact}.json"}


def variant_entry(wildcards):
    return VARIANT_ENTRIES[wildcards.model, wildcards.variant]


def dataset_predictions(wildcards):
    """The predictions for all shards, in the order of the rows."""
    return dataset_files(PREDICTIONS, wildcards)


def gathered_files():
    """One file a dataset, model and variant, the reference among them."""
    gathered = "results/predictions/{dataset}/{model}.{variant}.h5"
    references = [
        gathered.format(dataset=dataset, model=model.name, variant=REFERENCE.name)
        for model in settings.models.values()
        for dataset in model.datasets
    ]
    return run_files(gathered) + references

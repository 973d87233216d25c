# What the files of a run were made from.

from snakemake.settings.enums import PersistenceBackend


def recorded_targets(wildcards):
    """What a run is for, if Snakemake keeps what it records of each job where `write_provenance` reads it."""
    backend = workflow.workflow_settings.persistence_backend
    if backend is not PersistenceBackend.FILE:
        raise WorkflowError(
            "results/provenance.json is made from what Snakemake records in files: leave out "
            f"--persistence-backend {backend.item_to_choice()}"
        )
    return run_targets()


def entries_behind(wildcards, input):
    """Every job that the inputs were made by, directly or through others.

    Snakemake counts params that are made of the input as part of it, and compares none of this.
    """
    return [job_entry(job) for job in jobs_behind(input)]


def job_entry(job):
    """What Snakemake knows of a job, as plain values.

    In a workflow that imports this one the job may be another's, without a script.
    """
    parameters = dict(job.params.items())
    code = {}
    if "code" in parameters:
        code["code"] = job.rule.script
    if "model_code" in parameters:
        code["model_code"] = class_module(model_of(job.wildcards).class_path)
    return {
        "rule": job.rule.name,
        "wildcards": dict(job.wildcards_dict),
        "inputs": tuple(job.input._plainstrings()),
        "outputs": tuple(job.output._plainstrings()),
        "parameters": parameters,
        "code": code,
    }

# What a run is for, and which jobs it is made of.


def run_targets():
    """What a run is for; everything else is made on the way there."""
    return [
        "results/verdicts/passed.txt",
        "results/report/verdicts.html",
        "results/report/pipeline.svg",
        *learning_curves(),
        *physics_plots(),
        *difference_plots(),
        *invariance_plots(),
        *decision_plots(),
        *parity_plots(),
        *performance_plots(),
        *profile_plots(),
        *speed_plots(BRIEF),
        *start_plots(BRIEF),
    ]


def jobs_behind(wildcards, input):
    """Every job that the inputs were made by, directly or through others.

    Snakemake counts params that are made of the input as part of it, and compares none of this.
    """
    makers = {file: job for job in workflow.dag.jobs for file in job.output}
    waiting, found = list(input), {}
    while waiting:
        job = makers.get(waiting.pop())
        if job is not None and job not in found:
            found[job] = job_entry(job)
            waiting += job.input
    return list(found.values())


def job_entry(job):
    """What Snakemake knows of a job, as plain values.

    In a workflow that imports this one the job may be another's, without a script.
    """
    parameters = dict(job.params.items())
    code = {}
    if "code" in parameters:
        code["code"] = script_file(Path(job.rule.script).stem)
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

# What a run is for, and what the jobs that it is made of have cost.


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


def benchmarks_behind(wildcards, input):
    """By rule, the benchmark of every job that the inputs were made by, directly or through others.

    Snakemake counts params that are made of the input as part of it, and compares none of this.
    """
    makers = {file: job for job in workflow.dag.jobs for file in job.output}
    waiting, seen, found = list(input), set(), {}
    while waiting:
        job = makers.get(waiting.pop())
        if job is not None and job not in seen:
            seen.add(job)
            found.setdefault(job.rule.name, []).append(str(job.benchmark))
            waiting += job.input
    return {rule: sorted(found[rule]) for rule in sorted(found)}

# What the jobs of a run have cost.


def benchmarks_behind(wildcards, input):
    """By rule, the benchmark of every job that the inputs were made by, directly or through others.

    Snakemake counts params that are made of the input as part of it, and compares none of this.
    """
    found = {}
    for job in jobs_behind(input):
        found.setdefault(job.rule.name, []).append(str(job.benchmark))
    return {rule: sorted(found[rule]) for rule in sorted(found)}

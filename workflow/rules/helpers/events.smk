# What the events of a dataset are made of.


def dataset_entry(wildcards):
    return config["datasets"][wildcards.dataset]


def dataset_seed(wildcards):
    return settings.dataset_seed(wildcards.dataset)


def source_files(wildcards):
    """Files that the dataset is read from; none for a generated one."""
    return dataset_entry(wildcards).get("files", [])

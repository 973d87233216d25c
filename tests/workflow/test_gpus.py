"""GPUs as Snakemake sees them: the ready configuration, and how many jobs it starts where there are some."""

import copy

import pytest
import yaml
from checkouts import REPOSITORY

pytestmark = pytest.mark.workflow


def test_the_ready_configuration_is_planned_and_refused_on_a_machine_without_a_gpu(
    make_checkout, tmp_path, monkeypatch
):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    config = yaml.safe_load((REPOSITORY / "config/gpu.yaml").read_text())
    checkout = make_checkout(tmp_path / "checkout", config)
    jobs = [rule for rule, _ in checkout.planned()]
    assert jobs.count("infer_on_gpu") == (16 * 3 + 15) * 2
    assert jobs.count("export_aot_on_gpu") == 3 * 4
    done = checkout.snakemake()
    assert done.returncode != 0
    assert "runs on cuda, and this machine shows no NVIDIA GPU: run it where there is one" in done.stderr
    assert not (checkout.folder / "results").exists()


@pytest.mark.parametrize(("asked", "provided"), [((), 2), (("--resources", "gpu=5"), 5)])
def test_no_more_jobs_are_started_than_there_are_gpus(make_checkout, test_config, tmp_path, asked, provided):
    config = copy.deepcopy(test_config)
    config["variants"] = {"gpu": {"backend": "jit", "device": "cuda"}}
    config["models"] = {"SimpleNet": config["models"]["SimpleNet"]}
    checkout = make_checkout(tmp_path / "checkout", config)
    (checkout.folder / "src/sitecustomize.py").write_text(
        "import soaflow.gpu as gpu\n"
        "found = tuple(gpu.Gpu(number, 'sm_90', f'GPU-{number}') for number in range(2))\n"
        "gpu.gpus = lambda: found\n"
        "import soaflow.infer.devices as devices\n"
        "devices.gpu_architectures = lambda: ['sm_90']\n"
    )
    with (checkout.folder / "Snakefile").open("a") as snakefile:
        snakefile.write("\n\nonstart:\n    print('GPUs:', workflow.scheduler.global_resources['gpu'])\n")
    done = checkout.snakemake("results/predictions/toy/0/SimpleNet.gpu.h5", *asked)
    assert "finds none that it can use" in done.stderr
    assert f"GPUs: {provided}\n" in done.stdout + done.stderr

"""What a user sees of a mistake: one sentence, a non-zero exit, and no output left behind."""

import copy
import pickle

import pytest

pytestmark = pytest.mark.workflow


def test_a_mistake_in_the_configuration_stops_before_any_job(make_checkout, test_config, tmp_path):
    checkout = make_checkout(tmp_path / "checkout", copy.deepcopy(test_config) | {"sead": 1})
    done = checkout.snakemake()
    assert done.returncode != 0
    assert "unknown key 'sead'" in done.stderr
    assert not (checkout.folder / "results").exists()


def test_a_cuda_variant_without_a_gpu_is_refused_before_any_job(
    make_checkout, test_config, tmp_path, monkeypatch
):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    config = copy.deepcopy(test_config)
    config["variants"]["gpu"] = {"backend": "jit", "device": "cuda"}
    config["models"]["SimpleNet"]["variants"] = ["gpu"]
    checkout = make_checkout(tmp_path / "checkout", config)
    done = checkout.snakemake()
    assert done.returncode != 0
    assert "variant 'gpu' runs on cuda, and this machine shows no NVIDIA GPU" in done.stderr
    assert not (checkout.folder / "results").exists()
    planned = checkout.snakemake("--dry-run", "--quiet")  # as on the head node of a farm
    assert planned.returncode == 0, planned.stderr


def test_a_target_that_this_machine_cannot_build_is_refused_before_any_job(
    make_checkout, test_config, tmp_path, monkeypatch
):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    config = copy.deepcopy(test_config)
    config["targets"] = ["cuda-sm_90"]
    config["variants"] = {"gpu": {"backend": "aot", "target": "cuda-sm_90", "device": "cuda"}}
    config["models"] = {"SimpleNet": config["models"]["SimpleNet"]}
    checkout = make_checkout(tmp_path / "checkout", config)
    done = checkout.snakemake("results/artifacts/SimpleNet.float32.cuda-sm_90.balanced.pt2")
    assert done.returncode != 0
    assert "target cuda-sm_90 needs a GPU of sm_90, and this machine shows no NVIDIA GPU" in done.stderr
    assert not (checkout.folder / "results").exists()


def test_a_level_above_this_cpu_is_refused_before_any_job(make_checkout, test_config, tmp_path):
    """Python starts with this CPU seen as one of level 2, which no machine of today is."""
    checkout = make_checkout(tmp_path / "checkout", test_config)
    (checkout.folder / "src/sitecustomize.py").write_text(
        "import soaflow.cpu\n"
        "old = soaflow.cpu.Cpu('Old CPU', 'x86_64', 2, frozenset())\n"
        "soaflow.cpu.this_cpu = lambda: old\n"
    )
    done = checkout.snakemake("results/artifacts/SimpleNet.float32.x86-64-v3.balanced.pt2")
    assert done.returncode != 0
    assert (
        "target x86-64-v3 is above what the CPU of this machine supports, Old CPU (x86-64-v2)" in done.stderr
    )
    assert not (checkout.folder / "results").exists()


def test_a_fat_artifact_of_no_level_is_refused(make_checkout, test_config, tmp_path):
    checkout = make_checkout(tmp_path / "checkout", test_config)
    done = checkout.snakemake("results/artifacts/SimpleNet.float32.fat.balanced.pt2")
    assert done.returncode != 0
    assert "key 'targets' has no level of x86-64 to put into a fat artifact: add x86-64-v3" in done.stderr


def test_records_where_the_provenance_cannot_read_them_are_refused_before_any_job(
    make_checkout, test_config, tmp_path
):
    checkout = make_checkout(tmp_path / "checkout", test_config)
    done = checkout.snakemake("--persistence-backend", "db")
    assert done.returncode != 0
    assert (
        "provenance.json is made from what Snakemake records in files: leave out --persistence-backend db"
        in done.stderr
    )
    assert not (checkout.folder / "results").exists()
    planned = checkout.snakemake("--persistence-backend", "db", "--dry-run", "results/verdicts/passed.txt")
    assert planned.returncode == 0, planned.stderr


@pytest.mark.parametrize(
    ("change", "target", "sentence"),
    [
        (
            lambda config: config["datasets"]["ttbar"]["collections"]["jets"]["items"][0].update(
                branch="Jet_p"
            ),
            "results/events/ttbar/0.h5",
            "Jet_p",
        ),
        (
            lambda config: config["models"]["Scaled"].update({"class": "user_model.py:Scale"}),
            "results/weights/Scaled.pt",
            "Scale",
        ),
        (
            lambda config: config["models"]["Scaled"]["arguments"].update(factors=1),
            "results/weights/Scaled.pt",
            "factors",
        ),
    ],
    ids=["missing branch", "missing class", "unknown argument"],
)
def test_a_job_that_cannot_go_on_says_why(make_checkout, test_config, tmp_path, change, target, sentence):
    config = copy.deepcopy(test_config)
    change(config)
    checkout = make_checkout(tmp_path / "checkout", config)
    done = checkout.snakemake(target)
    assert done.returncode != 0
    messages = [line for line in done.stderr.splitlines() if line.startswith("soaflow: error: ")]
    assert len(messages) == 1
    assert sentence in messages[0]
    assert not (checkout.folder / target).exists()
    assert messages[0] in "".join(log.read_text() for log in checkout.folder.glob("results/logs/**/*.log"))


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("class Scaled(:\n", "user_model.py is not valid Python in line 1: invalid syntax"),
        (None, "there is no file 'user_model.py'"),
    ],
    ids=["syntax", "missing"],
)
def test_a_faulty_model_file_stops_before_any_job(make_checkout, test_config, tmp_path, source, sentence):
    checkout = make_checkout(tmp_path / "checkout", test_config)
    model = checkout.folder / "user_model.py"
    model.unlink()
    if source is not None:
        model.write_text(source)
    done = checkout.snakemake("results/weights/Scaled.pt")
    assert done.returncode != 0
    assert f"key 'models.Scaled.class': {sentence}" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (checkout.folder / "results").exists()


def test_weights_of_another_model_leave_nothing(make_checkout, test_config, tmp_path):
    config = copy.deepcopy(test_config)
    scaled = config["models"]["Scaled"]
    scaled |= {"class": "soaflow.models.simple_net:SimpleNet", "arguments": {}, "weights": "given.pt"}
    checkout = make_checkout(tmp_path / "checkout", config)
    (checkout.folder / "given.pt").write_bytes(pickle.dumps({"layers": [1, 2]}))
    done = checkout.snakemake("results/weights/Scaled.pt")
    assert done.returncode != 0
    assert "soaflow: error: given.pt is corrupt or not a weights file" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (checkout.folder / "results/weights/Scaled.pt").exists()


def test_a_full_disk_leaves_no_half_file(make_checkout, test_config, tmp_path, small_disk):
    config = copy.deepcopy(test_config)
    config["datasets"]["toy"]["events"] = 3000
    checkout = make_checkout(tmp_path / "checkout", config)
    with small_disk(64) as disk:
        (checkout.folder / "results").symlink_to(disk)
        done = checkout.snakemake("results/events/toy/0.h5")
        left = [path.name for path in disk.rglob("*.h5")]
    assert done.returncode != 0
    assert "soaflow: error: results/events/toy/0.h5 cannot be written: No space left on device" in done.stderr
    assert left == []


def test_a_results_folder_that_cannot_be_written(make_checkout, test_config, tmp_path, small_disk):
    checkout = make_checkout(tmp_path / "checkout", test_config)
    with small_disk(64, "ro") as disk:
        (checkout.folder / "results").symlink_to(disk)
        done = checkout.snakemake("results/events/toy/0.h5")
    assert done.returncode != 0
    assert "Read-only file system: 'results/" in done.stderr


def test_a_bug_names_its_log(make_checkout, test_config, tmp_path):
    checkout = make_checkout(tmp_path / "checkout", test_config)
    model = checkout.folder / "user_model.py"
    model.write_text(model.read_text().replace("self.factor = factor", "self.factor = factor / 0"))
    done = checkout.snakemake("results/weights/Scaled.pt")
    assert done.returncode != 0
    assert "results/logs/weights/Scaled.log" in done.stderr

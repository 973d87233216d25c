"""What a user sees of a mistake: one sentence, a non-zero exit, and no output left behind."""

import copy

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


def test_a_bug_names_its_log(make_checkout, test_config, tmp_path):
    checkout = make_checkout(tmp_path / "checkout", test_config)
    model = checkout.folder / "user_model.py"
    model.write_text(model.read_text().replace("self.factor = factor", "self.factor = factor / 0"))
    done = checkout.snakemake("results/weights/Scaled.pt")
    assert done.returncode != 0
    assert "results/logs/weights/Scaled.log" in done.stderr

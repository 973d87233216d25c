"""Which jobs a change reruns: exactly what depends on it."""

import copy
import itertools
import os
import random
import shutil
from dataclasses import replace

import pytest

pytestmark = pytest.mark.workflow

VARIANTS = {
    "SimpleNet": ("eager", "jit", "aot", "aot_b7"),
    "Scaled": ("eager", "jit"),
    "JetTagger": ("eager", "jit"),
}
"""Of each model, as tests/workflow/config.yaml has them."""

DATASET = {"SimpleNet": "toy", "Scaled": "toy", "JetTagger": "ttbar"}

SHARDS = {"toy": ("0", "1"), "ttbar": ("0",)}


def jobs(rule, **wildcards):
    """The jobs of a rule for every combination of the wildcards' values, each one or a tuple of them."""
    values = [value if isinstance(value, tuple) else (value,) for value in wildcards.values()]
    return {
        (rule, tuple(sorted(zip(wildcards, chosen, strict=True)))) for chosen in itertools.product(*values)
    }


def of_rows(rule, model, variants):
    """The jobs of a rule on each shard of a model's dataset."""
    dataset = DATASET[model]
    return jobs(rule, dataset=dataset, shard=SHARDS[dataset], model=model, variant=variants)


def of_dataset(rule, model, variants):
    """The jobs of a rule on a model's dataset."""
    return jobs(rule, dataset=DATASET[model], model=model, variant=variants)


def judged(model, variants=None):
    """What follows when variants of a model, or all of them, are judged again."""
    return (
        of_dataset("judge", model, variants or VARIANTS[model])
        | jobs("plot_differences", model=model)
        | jobs("summarize_verdicts")
        | jobs("require_verdicts")
        | jobs("write_verdict_table")
        | AT_THE_END
    )


AT_THE_END = jobs("summarize_benchmarks") | jobs("write_provenance") | jobs("all")
"""What follows when any file of the run is made again."""


def measured(model, variants, *, observables):
    """What follows when a model is run again in variants: its figures, its verdicts, its pictures."""
    drawn = (
        "plot_parity",
        "plot_performance",
        "plot_invariance",
        *(["plot_decisions"] if observables else []),
    )
    found = of_rows("infer", model, variants) | jobs("measure_pairs", dataset=DATASET[model], model=model)
    found |= set().union(*(jobs(rule, model=model) for rule in drawn))
    compared = tuple(variant for variant in variants if variant != "reference")
    # Eager float32 is the yardstick of all the others.
    found |= judged(model, VARIANTS[model] if "eager" in variants else compared)
    found |= of_rows("measure_differences", model, compared)
    return found | (of_dataset("measure_decisions", model, compared) if observables else set())


def made_again(model, *, observables):
    """What follows when the weights of a model are others."""
    variants = ("reference", *VARIANTS[model])
    in_any_batches = tuple(name for name in VARIANTS[model] if name != "aot_b7")
    artifacts = jobs("export_program", model=model, dtype="float32") | jobs(
        "export_aot", model=model, dtype="float32", target="native", profile="balanced"
    )
    return (
        measured(model, variants, observables=observables)
        | of_dataset("measure_invariance", model, in_any_batches)
        | jobs("export_jit", model=model, dtype="float32")
        | (artifacts if "aot" in VARIANTS[model] else set())
    )


def timed(model):
    return jobs("measure_speed", model=model, effort="brief") | jobs(
        "plot_speed", model=model, effort="brief"
    )


def started(model):
    return jobs("measure_starts", model=model, effort="brief") | jobs(
        "plot_starts", model=model, effort="brief"
    )


ALL_OF_SIMPLE_NET = (
    made_again("SimpleNet", observables=True)
    | timed("SimpleNet")
    | jobs("plot_physics", model="SimpleNet", tensor="reco_pt")
)
ALL_OF_SCALED = made_again("Scaled", observables=False) | timed("Scaled") | started("Scaled")
ALL_OF_JET_TAGGER = made_again("JetTagger", observables=True) | jobs(
    "plot_physics", model="JetTagger", tensor="b_probability"
)


def trained(model):
    return jobs("train", model=model) | jobs("plot_learning_curve", model=model)


def rules(planned):
    return {rule for rule, _ in planned}


def as_jobs(planned):
    return {(rule, tuple(sorted(wildcards.items()))) for rule, wildcards in planned}


@pytest.fixture
def planned(finished):
    """The jobs that a configuration, or that of the finished run, would run."""

    def planned(config=None):
        return as_jobs(finished.planned(config))

    return planned


@pytest.fixture
def config(finished):
    return copy.deepcopy(finished.config)


def test_a_finished_run_has_nothing_to_do(planned):
    assert planned() == set()


def test_the_catalogs_snakefile_is_the_same_workflow(finished):
    assert finished.planned(snakefile="workflow/Snakefile") == []
    forced = finished.run(
        ["-m", "snakemake"], "-s", "workflow/Snakefile", "-n", "--forceall", "--quiet", "rules"
    )
    assert forced.returncode == 0, forced.stderr
    assert "require_verdicts" in forced.stderr + forced.stdout


def test_a_single_key_is_set_over_the_configuration_in_the_folder(finished):
    done = finished.run(["-m", "snakemake"], "-n", "--config", 'datasets={"ttbar": {"origin": "elsewhere"}}')
    assert done.returncode == 0, done.stderr
    assert "Events of ttbar" in done.stderr + done.stdout
    assert "Events of toy" not in done.stderr + done.stdout


def test_a_tolerance_judges_again_and_runs_nothing(planned, config):
    config["tolerances"]["float32"]["absolute"] = 1e-4
    assert planned(config) == set().union(*map(judged, VARIANTS))


def test_a_tolerance_of_one_output_judges_its_model_only(planned, config):
    config["models"]["Scaled"]["tolerances"] = {"scaled": {"float32": {"absolute": 1e-4, "relative": 0.0}}}
    assert planned(config) == judged("Scaled")


def test_a_yardstick_judges_again_and_runs_nothing(planned, config):
    config["yardstick"] = {"float32": {"factor": 3, "floor": 1.0e-6}}
    assert planned(config) == set().union(*map(judged, VARIANTS))


def test_a_waiver_judges_its_variant_again_and_runs_nothing(planned, config):
    config["waivers"] = [
        {"model": "SimpleNet", "variant": "jit", "reason": "known", "expires": "2999-12-31"},
        {"model": "SimpleNet", "variant": "aot", "reason": "known", "expires": "2001-12-31"},
    ]
    assert planned(config) == judged("SimpleNet", ("jit", "aot"))


def test_a_limit_between_batches_judges_again_and_runs_nothing(planned, config):
    config["invariance"] = {"tolerances": {"float32": {"absolute": 1.0e-6, "relative": 1.0e-5}}}
    assert planned(config) == set().union(*map(judged, VARIANTS))
    config["invariance"] = {"same_bits": ["aot_b7"]}
    assert planned(config) == judged("SimpleNet", ("aot_b7",))


def test_a_limited_pair_judges_its_variants_again(planned, config):
    config["models"]["SimpleNet"]["invariance"] = {"pairs": [{"variants": ["aot", "aot_b7"]}]}
    assert planned(config) == judged("SimpleNet", ("aot", "aot_b7"))


def test_other_batches_are_measured_and_no_predictions_made(planned, config):
    config["models"]["SimpleNet"]["invariance"] = {"batch_sizes": [5]}
    assert planned(config) == (
        of_dataset("measure_invariance", "SimpleNet", ("eager", "jit", "aot"))
        | jobs("plot_invariance", model="SimpleNet")
        | judged("SimpleNet")
    )


def test_a_tolerance_of_an_observable_judges_its_model_again_and_measures_nothing(planned, config):
    config["models"]["JetTagger"]["physics"][0]["tolerances"]["flips"] = 0.5
    assert planned(config) == judged("JetTagger")


def test_a_working_point_measures_the_decisions_of_its_model_again_and_runs_nothing(planned, config):
    config["models"]["JetTagger"]["physics"][0]["working_points"][0]["threshold"] = 0.4
    assert planned(config) == (
        of_dataset("measure_decisions", "JetTagger", VARIANTS["JetTagger"])
        | jobs("plot_decisions", model="JetTagger")
        | judged("JetTagger")
    )


def test_a_batch_size_reruns_the_jobs_of_its_variant(planned, config):
    config["variants"]["aot_b7"]["batch_size"] = 8
    assert planned(config) == measured("SimpleNet", ("aot_b7",), observables=True)


def test_how_long_speed_is_measured_measures_it_again_and_runs_nothing(planned, config):
    config["speed"]["seconds"] = 0.02
    assert planned(config) == timed("SimpleNet") | timed("Scaled") | AT_THE_END


def test_how_often_starts_are_repeated_starts_again_and_runs_nothing(planned, config):
    config["starts"]["repetitions"] = 2
    assert planned(config) == started("Scaled") | AT_THE_END


def test_another_base_of_ratios_draws_again_and_measures_nothing(planned, config):
    config["speed"]["base"] = "jit"
    assert planned(config) == jobs("plot_speed", model=("SimpleNet", "Scaled"), effort="brief") | AT_THE_END


def test_a_model_can_be_added_to_the_measurement_of_starts(planned, config):
    config["models"]["JetTagger"]["measure_starts"] = True
    assert planned(config) == started("JetTagger") | AT_THE_END


def test_a_new_variant_builds_nothing_that_is_there(planned, config):
    config["variants"]["jit_b9"] = {"backend": "jit", "batch_size": 9}
    config["models"]["SimpleNet"]["variants"] = [*config["variants"]]
    # It differs from one that is there in its batches only, and is judged by what was measured of that one.
    assert planned(config) == measured("SimpleNet", ("jit_b9",), observables=True)


def test_a_profile_builds_one_artifact_and_runs_its_variant(planned, config):
    config["variants"]["aot_b7"]["profile"] = "throughput"
    artifact = jobs("export_aot", model="SimpleNet", dtype="float32", target="native", profile="throughput")
    assert planned(config) == (
        artifact
        | measured("SimpleNet", ("aot_b7",), observables=True)
        | of_dataset("measure_invariance", "SimpleNet", ("aot_b7",))
        | timed("SimpleNet")
    )


def test_a_target_that_no_variant_uses_builds_nothing(planned, config):
    config["targets"] = ["native", "x86-64-v2"]
    assert planned(config) == set()


def test_where_outputs_are_stored_exports_the_program_again(planned, config):
    config["models"]["SimpleNet"]["store_outputs"] = False
    assert planned(config) == (
        jobs("export_program", model="SimpleNet", dtype="float32")
        | jobs("export_aot", model="SimpleNet", dtype="float32", target="native", profile="balanced")
        | measured("SimpleNet", ("aot", "aot_b7"), observables=True)
        | of_dataset("measure_invariance", "SimpleNet", ("aot",))
        | timed("SimpleNet")
    )


def test_a_learning_rate_trains_its_model_again_and_reads_no_events(planned, config):
    config["models"]["SimpleNet"]["training"]["learning_rate"] = 0.01
    assert planned(config) == trained("SimpleNet") | ALL_OF_SIMPLE_NET


def test_an_argument_of_a_model_makes_it_again(planned, config):
    config["models"]["Scaled"]["arguments"]["factor"] = 4.0
    assert planned(config) == jobs("take_weights", model="Scaled") | ALL_OF_SCALED


def test_a_selection_reads_its_dataset_again(planned, config):
    config["datasets"]["ttbar"]["collections"]["jets"]["selection"][0]["minimum"] = 40.0
    assert planned(config) == (
        jobs("write_events", dataset="ttbar", shard="0") | trained("JetTagger") | ALL_OF_JET_TAGGER
    )


def test_the_seed_reruns_everything_that_draws(planned, config):
    config["seed"] = 8
    assert planned(config) == (
        jobs("write_events", dataset="toy", shard=("0", "1"))
        | trained("SimpleNet")
        | ALL_OF_SIMPLE_NET
        | jobs("take_weights", model="Scaled")
        | ALL_OF_SCALED
        | trained("JetTagger")
        | ALL_OF_JET_TAGGER
    )


@pytest.fixture
def edit(finished):
    """Edits a file of the checkout for one test."""
    edited = {}

    def edit(name, old, new):
        path = finished.folder / name
        text = path.read_text()
        edited.setdefault(path, text)
        assert old in text
        path.write_text(text.replace(old, new, 1))

    yield edit
    for path, text in edited.items():
        path.write_text(text)


def test_an_edit_of_a_stage_reruns_that_stage(planned, edit):
    edit("src/soaflow/compare/summary.py", "def as_tsv", "EDITED = 1\n\n\ndef as_tsv")
    assert planned() == jobs("summarize_verdicts") | jobs("require_verdicts") | AT_THE_END


def test_an_edit_of_a_script_reruns_its_rule(planned, edit):
    edit("workflow/scripts/plot_pipeline.py", "with job_log", "EDITED = 1\nwith job_log")
    assert planned() == jobs("plot_pipeline") | AT_THE_END


def test_an_edit_of_a_module_below_reruns_all_stages_above(planned, edit):
    edit("src/soaflow/soa/views.py", "def plan_view", "EDITED = 1\n\n\ndef plan_view")
    # Events are written, and weights taken, without views.
    assert planned() == (
        trained("SimpleNet") | ALL_OF_SIMPLE_NET | ALL_OF_SCALED | trained("JetTagger") | ALL_OF_JET_TAGGER
    )


def test_a_comment_reruns_nothing(planned, edit):
    edit("src/soaflow/soa/views.py", '"""Which', '# a comment\n"""Which')
    edit("src/soaflow/infer/job.py", '"""', '"""Oh: ')
    edit("workflow/scripts/train.py", '"""', '"""Oh: ')
    assert planned() == set()


def test_an_edit_of_a_users_model_reruns_that_model(planned, edit):
    edit("user_model.py", "particles * self.factor", "self.factor * particles")
    assert planned() == jobs("take_weights", model="Scaled") | ALL_OF_SCALED


def test_an_edit_of_a_model_of_the_library_reruns_that_model(planned, edit):
    edit("src/soaflow/models/simple_net.py", "def forward", "EDITED = 1\n\n    def forward")
    assert planned() == trained("SimpleNet") | ALL_OF_SIMPLE_NET


@pytest.fixture
def copied(finished, tmp_path):
    """A copy of the finished run, time stamps included, to change."""
    folder = shutil.copytree(finished.folder, tmp_path / "copied", symlinks=True)
    return replace(finished, folder=folder)


def touch(folder):
    """Give every file a new time stamp, in an order of no meaning."""
    files = [path for path in sorted(folder.rglob("*")) if ".snakemake" not in path.parts and path.is_file()]
    random.Random(1).shuffle(files)
    last = max(path.stat().st_mtime for path in files)
    for place, path in enumerate(files, 1):
        os.utime(path, (last + place, last + place))
    return files


def test_touching_every_file_reruns_nothing(copied):
    touched = {str(path.relative_to(copied.folder)) for path in touch(copied.folder)}
    assert touched > {
        "Snakefile",
        "config/config.yaml",
        "profiles/default/config.yaml",
        "resources/nano_tt_v15.root",
        "results/events/toy/0.h5",
        "results/verdicts/passed.txt",
        "src/soaflow/soa/views.py",
        "user_model.py",
        "workflow/scripts/train.py",
    }
    assert copied.planned() == []
    # Without the profile, time stamps of scripts and of large files would be enough.
    of_snakemake = as_jobs(copied.planned(profile="none"))
    assert of_snakemake >= jobs("write_events", dataset="ttbar", shard="0") | jobs("train", model="SimpleNet")


def test_a_fresh_checkout_over_the_same_results_reruns_nothing(finished, make_checkout, tmp_path):
    fresh = make_checkout(tmp_path / "fresh", finished.config)
    touch(fresh.folder)
    for part in ("results", ".snakemake"):
        shutil.copytree(finished.folder / part, fresh.folder / part)
    assert fresh.planned() == []


def test_other_bytes_in_a_large_source_rerun_what_depends_on_it(copied):
    source = copied.folder / "resources/nano_tt_v15.root"
    assert source.stat().st_size > 1_000_000, "Snakemake's own limit"
    with source.open("ab") as stream:
        stream.write(b"x")
    assert as_jobs(copied.planned()) == (
        jobs("write_events", dataset="ttbar", shard="0") | trained("JetTagger") | ALL_OF_JET_TAGGER
    )


def test_other_bytes_in_a_result_rerun_what_depends_on_it(copied):
    measurement = copied.folder / "results/differences/toy/0/Scaled.jit.json"
    measurement.write_text(measurement.read_text() + "\n")
    assert as_jobs(copied.planned()) == judged("Scaled", ("jit",)) | jobs("plot_parity", model="Scaled")


def test_a_result_that_is_gone_is_made_again(copied):
    (copied.folder / "results/report/speed/Scaled.brief.svg").unlink()
    assert as_jobs(copied.planned()) == jobs("plot_speed", model="Scaled", effort="brief") | AT_THE_END

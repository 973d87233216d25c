"""Which jobs a change reruns: what depends on it, and nothing else."""

import copy

import pytest

pytestmark = pytest.mark.workflow

EVERYTHING_FROM_VERDICTS = {
    "judge",
    "summarize_verdicts",
    "require_verdicts",
    "write_verdict_table",
    "plot_differences",
    "summarize_benchmarks",
    "all",
}


def rules(jobs):
    return {rule for rule, _ in jobs}


def variants(jobs, rule):
    return {wildcards["variant"] for name, wildcards in jobs if name == rule}


@pytest.fixture
def config(finished):
    return copy.deepcopy(finished.config)


def test_a_finished_run_has_nothing_to_do(finished):
    assert finished.planned() == []


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


def test_a_tolerance_judges_again_and_runs_nothing(finished, config):
    config["tolerances"]["float32"]["absolute"] = 1e-4
    assert rules(finished.planned(config)) == EVERYTHING_FROM_VERDICTS


def test_a_tolerance_of_one_output_judges_its_model_only(finished, config):
    config["models"]["Scaled"]["tolerances"] = {"scaled": {"float32": {"absolute": 1e-4, "relative": 0.0}}}
    jobs = finished.planned(config)
    assert {wildcards["model"] for rule, wildcards in jobs if rule == "judge"} == {"Scaled"}
    assert rules(jobs) == EVERYTHING_FROM_VERDICTS


def test_a_yardstick_judges_again_and_runs_nothing(finished, config):
    config["yardstick"] = {"float32": {"factor": 3, "floor": 1.0e-6}}
    assert rules(finished.planned(config)) == EVERYTHING_FROM_VERDICTS


def test_a_waiver_judges_its_variant_again_and_runs_nothing(finished, config):
    config["waivers"] = [
        {"model": "SimpleNet", "variant": "jit", "reason": "known", "expires": "2999-12-31"},
        {"model": "SimpleNet", "variant": "aot", "reason": "known", "expires": "2001-12-31"},
    ]
    jobs = finished.planned(config)
    assert rules(jobs) == EVERYTHING_FROM_VERDICTS
    assert variants(jobs, "judge") == {"jit", "aot"}


def test_a_limit_between_batches_judges_again_and_runs_nothing(finished, config):
    config["invariance"] = {"tolerances": {"float32": {"absolute": 1.0e-6, "relative": 1.0e-5}}}
    assert rules(finished.planned(config)) == EVERYTHING_FROM_VERDICTS
    config["invariance"] = {"same_bits": ["aot_b7"]}
    jobs = finished.planned(config)
    assert rules(jobs) == EVERYTHING_FROM_VERDICTS
    assert variants(jobs, "judge") == {"aot_b7"}


def test_a_limited_pair_judges_its_variants_again(finished, config):
    config["models"]["SimpleNet"]["invariance"] = {"pairs": [{"variants": ["aot", "aot_b7"]}]}
    jobs = finished.planned(config)
    assert rules(jobs) == EVERYTHING_FROM_VERDICTS
    assert variants(jobs, "judge") == {"aot", "aot_b7"}


def test_other_batches_are_measured_and_no_predictions_made(finished, config):
    config["models"]["SimpleNet"]["invariance"] = {"batch_sizes": [5]}
    jobs = finished.planned(config)
    assert rules(jobs) == EVERYTHING_FROM_VERDICTS | {"measure_invariance", "plot_invariance"}
    measured = {tuple(sorted(wildcards.items())) for rule, wildcards in jobs if rule == "measure_invariance"}
    assert measured == {
        (("dataset", "toy"), ("model", "SimpleNet"), ("variant", name)) for name in ("eager", "jit", "aot")
    }


def test_a_tolerance_of_an_observable_judges_its_model_again_and_measures_nothing(finished, config):
    config["models"]["JetTagger"]["physics"][0]["tolerances"]["flips"] = 0.5
    jobs = finished.planned(config)
    assert rules(jobs) == EVERYTHING_FROM_VERDICTS
    assert {wildcards["model"] for rule, wildcards in jobs if rule == "judge"} == {"JetTagger"}


def test_a_working_point_measures_the_decisions_of_its_model_again_and_runs_nothing(finished, config):
    config["models"]["JetTagger"]["physics"][0]["working_points"][0]["threshold"] = 0.4
    jobs = finished.planned(config)
    assert rules(jobs) == {"measure_decisions", "plot_decisions"} | EVERYTHING_FROM_VERDICTS
    assert {wildcards["model"] for rule, wildcards in jobs if rule == "measure_decisions"} == {"JetTagger"}


def test_a_batch_size_reruns_the_jobs_of_its_variant(finished, config):
    config["variants"]["aot_b7"]["batch_size"] = 8
    jobs = finished.planned(config)
    assert variants(jobs, "infer") == {"aot_b7"}
    measured = {"measure_differences", "measure_decisions", "measure_pairs"}
    drawn = {"plot_decisions", "plot_invariance", "plot_parity", "plot_performance"}
    assert rules(jobs) == {"infer"} | measured | drawn | EVERYTHING_FROM_VERDICTS


def test_how_long_speed_is_measured_measures_it_again_and_runs_nothing(finished, config):
    config["speed"]["seconds"] = 0.02
    jobs = finished.planned(config)
    assert rules(jobs) == {"measure_speed", "plot_speed", "summarize_benchmarks", "all"}
    assert {wildcards["model"] for rule, wildcards in jobs if rule == "measure_speed"} == {
        "SimpleNet",
        "Scaled",
    }


def test_another_base_of_ratios_draws_again_and_measures_nothing(finished, config):
    config["speed"]["base"] = "jit"
    assert rules(finished.planned(config)) == {"plot_speed", "summarize_benchmarks", "all"}


def test_a_model_can_be_left_out_of_the_measurement(finished, config):
    config["models"]["JetTagger"]["measure_starts"] = True
    jobs = finished.planned(config)
    assert rules(jobs) == {"measure_starts", "plot_starts", "summarize_benchmarks", "all"}


def test_a_new_variant_builds_nothing_that_is_there(finished, config):
    config["variants"]["jit_b9"] = {"backend": "jit", "batch_size": 9}
    config["models"]["SimpleNet"]["variants"] = [*config["variants"]]
    jobs = finished.planned(config)
    assert variants(jobs, "infer") == {"jit_b9"}
    assert rules(jobs).isdisjoint({"write_events", "train", "export_program", "export_jit", "export_aot"})
    # It differs from one that is there in its batches only, and is judged by what was measured of that one.
    assert "measure_invariance" not in rules(jobs)
    assert "jit_b9" in variants(jobs, "judge")


def test_a_profile_builds_one_artifact_and_runs_its_variant(finished, config):
    config["variants"]["aot_b7"]["profile"] = "throughput"
    jobs = finished.planned(config)
    assert [wildcards for rule, wildcards in jobs if rule == "export_aot"] == [
        {"model": "SimpleNet", "dtype": "float32", "target": "native", "profile": "throughput"}
    ]
    assert variants(jobs, "infer") == {"aot_b7"}
    assert rules(jobs).isdisjoint({"write_events", "train", "export_program", "export_jit"})


def test_a_target_that_no_variant_uses_builds_nothing(finished, config):
    config["targets"] = ["native", "x86-64-v2"]
    assert finished.planned(config) == []


def test_where_outputs_are_stored_exports_the_program_again(finished, config):
    config["models"]["SimpleNet"]["store_outputs"] = False
    jobs = finished.planned(config)
    assert {"export_program", "export_aot"} <= rules(jobs)
    assert rules(jobs).isdisjoint({"write_events", "train", "export_jit"})
    assert variants(jobs, "infer") == {"aot", "aot_b7"}


def test_a_learning_rate_trains_its_model_again_and_reads_no_events(finished, config):
    config["models"]["SimpleNet"]["training"]["learning_rate"] = 0.01
    jobs = finished.planned(config)
    assert {wildcards["model"] for rule, wildcards in jobs if rule == "train"} == {"SimpleNet"}
    assert {"export_program", "export_jit", "export_aot", "infer", "plot_physics"} <= rules(jobs)
    assert "write_events" not in rules(jobs)
    assert "JetTagger" not in {wildcards.get("model") for _, wildcards in jobs if wildcards}


def test_an_argument_of_a_model_makes_it_again(finished, config):
    config["models"]["Scaled"]["arguments"]["factor"] = 4.0
    jobs = finished.planned(config)
    assert {"take_weights", "export_jit", "infer"} <= rules(jobs)
    assert {wildcards["model"] for rule, wildcards in jobs if rule == "infer"} == {"Scaled"}


def test_a_selection_reads_its_dataset_again(finished, config):
    config["datasets"]["ttbar"]["collections"]["jets"]["selection"][0]["minimum"] = 40.0
    jobs = finished.planned(config)
    assert {wildcards["dataset"] for rule, wildcards in jobs if rule == "write_events"} == {"ttbar"}
    assert {wildcards["model"] for rule, wildcards in jobs if rule == "train"} == {"JetTagger"}


def test_the_seed_reruns_everything_that_draws(finished, config):
    config["seed"] = 8
    assert {"write_events", "train", "take_weights", "export_program"} <= rules(finished.planned(config))


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


def test_an_edit_of_a_stage_reruns_that_stage(finished, edit):
    edit("src/soaflow/compare/summary.py", "def as_tsv", "EDITED = 1\n\n\ndef as_tsv")
    jobs = rules(finished.planned())
    assert {"summarize_verdicts", "require_verdicts"} <= jobs
    assert jobs.isdisjoint({"write_events", "train", "infer", "export_aot", "measure_differences", "judge"})


def test_an_edit_of_a_module_below_reruns_all_stages_above(finished, edit):
    edit("src/soaflow/soa/views.py", "def plan_view", "EDITED = 1\n\n\ndef plan_view")
    assert {"train", "infer", "export_jit"} <= rules(finished.planned())


def test_a_comment_reruns_nothing(finished, edit):
    edit("src/soaflow/soa/views.py", '"""Which', '# a comment\n"""Which')
    edit("src/soaflow/infer/job.py", '"""', '"""Oh: ')
    assert finished.planned() == []


def test_an_edit_of_a_users_model_reruns_that_model(finished, edit):
    edit("user_model.py", "particles * self.factor", "self.factor * particles")
    jobs = finished.planned()
    assert {wildcards["model"] for rule, wildcards in jobs if rule == "infer"} == {"Scaled"}

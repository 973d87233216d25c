import copy
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from soaflow.compare.tolerances import Tolerance
from soaflow.config import Config
from soaflow.errors import ConfigError

REPOSITORY = Path(__file__).parents[1]
SCHEMA = yaml.safe_load((REPOSITORY / "workflow/schemas/config.schema.yaml").read_text())
READY_CONFIGURATIONS = sorted((REPOSITORY / "config").glob("*.yaml"))


@pytest.fixture
def mapping():
    return yaml.safe_load((REPOSITORY / "config/config.yaml").read_text())


def change(mapping, path, value):
    """The mapping with the value at a dotted path set, or removed where the value is None."""
    changed = copy.deepcopy(mapping)
    *parents, last = [int(part) if part.isdigit() else part for part in path.split(".")]
    inner = changed
    for part in parents:
        inner = inner[part]
    if value is None:
        del inner[last]
    else:
        inner[last] = value
    return changed


@pytest.mark.parametrize("path", READY_CONFIGURATIONS, ids=lambda path: path.name)
def test_ready_configurations_are_sound(path):
    Config.from_mapping(yaml.safe_load(path.read_text()), SCHEMA)


def test_every_backend_is_a_peer_for_every_model_of_the_default_run(mapping):
    config = Config.from_mapping(mapping, SCHEMA)
    for model in config.models.values():
        assert {config.variants[name].backend for name in model.variants} == {"eager", "jit", "aot", "onnx"}


def test_runs_cover_every_shard_model_and_variant(mapping):
    for entry in mapping["models"].values():
        entry.pop("variants", None)
    config = Config.from_mapping(mapping, SCHEMA)
    runs = list(config.runs())
    assert len(set(runs)) == len(runs) == (5 * 2 + 1) * len(mapping["variants"])


def test_a_model_may_name_its_variants_and_tolerances(mapping):
    mapping["models"]["SimpleNet"]["variants"] = ["jit"]
    mapping["models"]["SimpleNet"]["tolerances"] = {
        "reco_pt": {"float32": {"absolute": 1.0, "relative": 0.0}}
    }
    config = Config.from_mapping(mapping, SCHEMA)
    assert {run.variant for run in config.runs() if run.model == "SimpleNet"} == {"jit"}
    assert config.item_tolerances("SimpleNet", "float32")["reco_pt"].absolute == 1.0
    assert config.item_tolerances("MultiHeadNet", "float32")["regression_head"].absolute == 1e-5


def test_the_tolerance_is_that_of_the_dtype(mapping):
    mapping["tolerances"]["float16"] = {"absolute": 0.01, "relative": 0.02}
    mapping["variants"]["half"] = {"backend": "eager", "dtype": "float16"}
    config = Config.from_mapping(mapping, SCHEMA)
    assert config.item_tolerances("MultiHeadNet", "float16")["classification_head"].relative == 0.02
    assert set(config.item_tolerances("MultiHeadNet", "float16")) == {
        "regression_head",
        "classification_head",
    }
    assert config.item_tolerances("MultiHeadNet", "float32")["classification_head"].relative != 0.02


def test_artifacts_are_built_for_this_machine_unless_targets_are_given(mapping):
    del mapping["targets"]
    del mapping["variants"]["aot_fat"]
    for entry in mapping["models"].values():
        entry.pop("variants", None)
    assert Config.from_mapping(mapping, SCHEMA).targets == ("native",)


def test_targets_and_profiles_of_variants(mapping):
    mapping["targets"] = ["x86-64-v3", "native", "cuda-sm_90"]
    mapping["variants"] |= {
        "v3": {"backend": "aot", "target": "x86-64-v3", "profile": "throughput"},
        "gpu": {"backend": "aot", "target": "cuda-sm_90", "device": "cuda"},
        "any": {"backend": "aot", "target": "fat"},
    }
    config = Config.from_mapping(mapping, SCHEMA)
    assert config.targets == ("x86-64-v3", "native", "cuda-sm_90")
    assert (config.variants["v3"].target, config.variants["v3"].profile) == ("x86-64-v3", "throughput")
    assert (config.variants["aot"].target, config.variants["aot"].profile) == ("native", "balanced")
    assert config.variants["any"].target == "fat"


def test_speed_and_starts_have_settings_of_their_own(mapping):
    del mapping["speed"]
    config = Config.from_mapping(mapping, SCHEMA)
    assert (config.speed.base, config.speed.batch_sizes[-1]) == ("", 0)
    mapping["speed"] = {"batch_sizes": [8], "seconds": 0.5, "base": "aot"}
    mapping["starts"] = {"thorough_repetitions": 4}
    config = Config.from_mapping(mapping, SCHEMA)
    assert (config.speed.batch_sizes, config.speed.base) == ((8,), "aot")
    assert (config.speed.seconds_of("brief"), config.speed.seconds_of("thorough")) == (0.5, 15.0)
    assert (config.starts.repetitions_of("brief"), config.starts.repetitions_of("thorough")) == (3, 4)
    assert config.models["JetTagger"].measure_starts
    assert config.models["SimpleNet"].measure_speed
    assert not config.models["SimpleNet"].measure_starts


def test_a_fat_artifact_needs_a_level_among_the_targets(mapping):
    mapping["targets"] = ["native"]
    mapping["variants"]["any"] = {"backend": "aot", "target": "fat"}
    with pytest.raises(ConfigError, match=r"\.target' is 'fat', and 'targets' has no level of x86-64 to put"):
        Config.from_mapping(mapping, SCHEMA)


def test_only_aot_variants_need_a_target(mapping):
    mapping["targets"] = ["x86-64-v3"]
    mapping["variants"] = {"jit": {"backend": "jit"}, "eager": {"backend": "eager"}}
    for entry in mapping["models"].values():
        entry.pop("variants", None)
        entry.pop("measure_profiles", None)
    assert set(Config.from_mapping(mapping, SCHEMA).variants) == {"jit", "eager"}


MISTAKES = [
    ("speed.base", "jitt", r"key 'speed.base' names 'jitt', which is not there: choose one of eager"),
    ("speed.batch_sizes", [], r"speed.batch_sizes"),
    ("speed.seconds", 0, r"speed.seconds"),
    ("sead", 1, "unknown key 'sead'"),
    ("seed", "one", r"key 'seed' is 'one': give an integer"),
    ("seed", None, "lacks key 'seed'"),
    ("alignment", 100, r"key 'alignment' is 100: choose one of"),
    ("datasets.toy.events", -1, r"datasets.toy.events"),
    ("datasets.toy.event", 1, r"'datasets.toy' has unknown key 'event'"),
    ("datasets.toy.source", "pythia", r"datasets.toy.source.*choose one of toy, nanoaod"),
    ("datasets.toy.collections", ["hits"], r"datasets.toy.*tracks"),
    ("datasets.ttbar.collections.jets.items.0.dtype", "float", r"items.0.dtype' is 'float'"),
    ("datasets.ttbar.collections.jets.selection.0.item", "energy", r"datasets.ttbar.*energy"),
    ("models.SimpleNet.datasets", ["toys"], r"models.SimpleNet.datasets' names 'toys'"),
    ("models.SimpleNet.inputs.0.items", ["pt", "energy"], r"models.SimpleNet.*no item 'energy'"),
    ("models.SimpleNet.inputs.0.items", ["pt", "phi"], r"models.SimpleNet.*not adjacent"),
    ("models.SimpleNet.inputs.0.items", ["gen_pt", "particle_class"], r"models.SimpleNet.*differ in dtype"),
    ("models.SimpleNet.inputs.0.collection", "photons", r"models.SimpleNet.*'photons'"),
    ("models.SimpleNet.inputs.0.rows", "whole", r"models.SimpleNet.*sliced inputs come from 0"),
    ("models.SimpleNet.outputs.0.items.0.dtype", "float31", r"dtype' is 'float31'"),
    ("models.SimpleNet.training.targets.0.output", "pt", r"training': targets.*'pt'"),
    ("models.SimpleNet.training.targets.0.item", "truth", r"training': targets.*'truth'"),
    ("models.SimpleNet.training.targets.0.collection", "tracks", r"training': targets.*'particles'"),
    ("models.SimpleNet.training.epochs", 0, r"training.epochs"),
    ("models.SimpleNet.weights", "given.pt", r"models.SimpleNet"),
    ("models.SimpleNet.variants", ["tvm"], r"variants' names 'tvm'"),
    ("models.SimpleNet.tolerances", {"energy": {}}, r"tolerances' names 'energy'"),
    ("models.SimpleNet.class", "SimpleNet", r"models.SimpleNet.class"),
    ("models.TrackHitDeepSet.inputs.4.items", ["pt"], r"inputs.4' has key 'items'"),
    ("models.SimpleNet.variants", [], r"models.SimpleNet.variants"),
    ("models", {}, r"key 'models'"),
    ("variants", {}, r"key 'variants'"),
    ("datasets.toy.events", 300.0, r"datasets.toy.events' is 300.0: give an integer"),
    ("models.SimpleNet.training.epochs", True, r"training.epochs' is True: give an integer"),
    ("variants.jit.target", "native", r"variants.jit' has key 'target'"),
    ("variants.jit.backend", "tvm", r"variants.jit.backend.*eager, jit, aot, onnx"),
    ("variants.reference", {"backend": "jit"}, r"variants"),
    ("variants.half", {"backend": "eager", "dtype": "float8"}, r"variants.half.dtype"),
    ("targets", [], r"key 'targets'"),
    ("targets", ["native", "native"], r"key 'targets'"),
    ("targets", ["native", "avx2"], r"key 'targets': there is no target 'avx2'"),
    ("targets", ["native", "fat"], r"key 'targets': there is no target 'fat'"),
    (
        "targets",
        ["x86-64-v3"],
        r"variants.aot.target' is 'native', which is not among 'targets' .x86-64-v3.: add",
    ),
    ("variants.aot.target", "x86-64-v4", r"variants.aot.target' is 'x86-64-v4', which is not among"),
    ("variants.aot.target", "avx2", r"variants.aot': there is no target 'avx2'"),
    ("variants.aot.profile", "fast", r"variants.aot.profile' is 'fast': choose one of latency"),
    ("variants.jit.profile", "latency", r"variants.jit' has key 'profile'"),
    ("variants.aot.device", "cuda", r"variants.aot': .*compiled for cpu, on device cuda"),
    ("tolerances.float32", None, r"tolerance.*float32"),
    ("tolerances.float32.absolute", -1.0, r"tolerances.float32.absolute"),
]


@pytest.mark.parametrize(("path", "value", "message"), MISTAKES)
def test_a_mistake_is_one_sentence_that_names_the_key(mapping, path, value, message):
    with pytest.raises(ConfigError, match=message) as caught:
        Config.from_mapping(change(mapping, path, value), SCHEMA)
    assert "\n" not in str(caught.value)


def test_a_trained_output_fills_one_item(mapping):
    output = mapping["models"]["MultiHeadNet"]["outputs"][1]
    output["items"] = [{"name": f"p{i}", "dtype": "float32"} for i in range(3)]
    with pytest.raises(ConfigError, match="'classification_head', which fills 3 items"):
        Config.from_mapping(mapping, SCHEMA)


def test_everything_that_draws_has_a_seed_of_its_own(mapping):
    mapping["datasets"]["JetTagger"] = copy.deepcopy(mapping["datasets"]["toy"])
    config = Config.from_mapping(mapping, SCHEMA)
    seeds = [config.dataset_seed(name) for name in ("toy", "JetTagger")]
    assert config.dataset_seed("ttbar") is None
    seeds += [config.model_seed(name) for name in config.models]
    assert len(set(seeds)) == len(seeds)
    assert config.datasets["toy"].seed == config.dataset_seed("toy")


def test_datasets_of_one_model_must_agree(mapping):
    mapping["datasets"]["other"] = copy.deepcopy(mapping["datasets"]["ttbar"])
    mapping["datasets"]["other"]["collections"]["jets"]["items"].reverse()
    mapping["models"]["JetTagger"]["datasets"] = ["ttbar", "other"]
    with pytest.raises(ConfigError, match=r"models\.JetTagger"):
        Config.from_mapping(mapping, SCHEMA)


def schema_keys(schema):
    """Every property name that a configuration may use, wherever it stands in the schema."""
    if isinstance(schema, dict):
        properties = schema.get("properties", {})
        yield from (key for key, value in properties.items() if value is not False)
        for value in schema.values():
            yield from schema_keys(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from schema_keys(value)


def test_schema_and_documentation_name_the_same_keys():
    readme = (REPOSITORY / "config/README.md").read_text()
    tables = re.findall(r"^\| key \|.*?(?=\n\n|\Z)", readme, flags=re.MULTILINE | re.DOTALL)
    documented = {
        key
        for table in tables
        for row in table.splitlines()[2:]
        for key in re.findall(r"`([a-z0-9_]+)`", row.split("|")[1])
    }
    cut_and_output_keys = {"item", "minimum", "maximum", "items"}
    assert set(schema_keys(SCHEMA)) - documented - cut_and_output_keys == set()
    assert documented - set(schema_keys(SCHEMA)) == set()
    for key in cut_and_output_keys:
        assert f"`{key}`" in readme


def test_every_default_stands_in_the_documentation():
    readme = (REPOSITORY / "config/README.md").read_text()
    for key, default in [("patience", 5), ("validation_fraction", 0.2), ("alignment", 128), ("calls", 1000)]:
        row = next(line for line in readme.splitlines() if line.startswith(f"| `{key}`"))
        assert str(default) in row


# Invariance


@pytest.fixture
def invariance(mapping):
    """Returns the configuration with general and own entries of a model that runs all variants."""

    def make(general, own=None, variants=None):
        mapping["invariance"] = general
        mapping["models"]["JetTagger"]["invariance"] = own or {}
        mapping["variants"] |= variants or {}
        return Config.from_mapping(mapping, SCHEMA)

    return make


def test_the_keys_of_a_model_are_taken_before_the_general_ones(invariance):
    config = invariance({"rows": 10, "batch_sizes": [3]}, {"rows": 20})
    assert (config.invariance["JetTagger"].rows, config.invariance["SimpleNet"].rows) == (20, 10)
    assert config.invariance["JetTagger"].batch_sizes == (3,)


def test_batches_have_the_tolerance_of_the_variant_unless_another_is_given(invariance):
    own = {"b_probability": Tolerance(1e-5, 1e-4)}
    assert invariance({}).batch_limits("JetTagger", "aot") == own
    config = invariance(
        {"tolerances": {"float32": {"absolute": 0.5, "relative": 0.0}}, "same_bits": ["jit"]},
        variants={"same": {"backend": "aot", "profile": "reproducible"}},
    )
    assert config.batch_limits("JetTagger", "aot") == {"b_probability": Tolerance(0.5, 0.0)}
    assert config.batch_limits("JetTagger", "jit") == {"b_probability": None}
    assert config.batch_limits("JetTagger", "same") == {"b_probability": None}


def test_pairs_are_of_the_variants_that_a_model_runs(invariance):
    config = invariance({"pairs": [{"variants": ["aot", "aot_fat"]}]})
    assert config.invariance["JetTagger"].limits_beside("aot_fat") == {"aot": None}
    assert config.invariance["SimpleNet"].limits_beside("aot") == {}


def test_variants_that_differ_in_their_batches_only_are_measured_as_one(mapping):
    config = Config.from_mapping(mapping, SCHEMA)
    measured = {name: config.measured_for("JetTagger", name) for name in config.models["JetTagger"].variants}
    assert measured == {name: name for name in mapping["variants"]} | {"aot_b64": "aot"}


@pytest.mark.parametrize(
    ("general", "own", "sentence"),
    [
        ({"same_bits": ["jti"]}, {}, "key 'invariance' names 'jti', which is not there: choose one of eager"),
        ({}, {"pairs": [{"variants": ["aot", "gpu"]}]}, "'models.JetTagger.invariance' names 'gpu'"),
        ({"pairs": [{"variants": ["aot", "jit"]}, {"variants": ["jit", "aot"]}]}, {}, "there twice"),
        ({"batch_size": [1]}, {}, "unknown key 'batch_size'"),
        ({"batch_sizes": [0]}, {}, "invariance.batch_sizes"),
        ({"pairs": [{"variants": ["aot", "jit"], "absolute": 1}]}, {}, "relative"),
    ],
)
def test_a_mistake_in_the_invariance_is_a_sentence(general, own, sentence, invariance):
    with pytest.raises(ConfigError, match=re.escape(sentence)):
        invariance(general, own)


WAIVER = {"model": "SimpleNet", "variant": "jit", "reason": "known", "expires": "2027-01-31"}


def test_a_waiver_names_an_output_and_covers_its_items(mapping):
    mapping["waivers"] = [WAIVER | {"output": "reco_pt", "dataset": "toy", "criterion": "tolerance"}]
    (waiver,) = Config.from_mapping(mapping, SCHEMA).waivers
    assert (waiver.items, waiver.dataset, waiver.criterion) == (("reco_pt",), "toy", "tolerance")
    assert Config.from_mapping(change(mapping, "waivers", None), SCHEMA).waivers == ()


def test_the_day_of_a_waiver_needs_no_quotes(mapping):
    mapping["waivers"] = yaml.safe_load(
        "[{model: SimpleNet, variant: jit, reason: known, expires: 2027-01-31}]"
    )
    assert Config.from_mapping(mapping, SCHEMA).waivers[0].expires == "2027-01-31"


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        ({"model": "Other"}, "key 'waivers.0.model' names 'Other', which is not there"),
        ({"variant": "other"}, "key 'waivers.0.variant' names 'other'"),
        ({"dataset": "other"}, "key 'waivers.0.dataset' names 'other'"),
        (
            {"output": "other"},
            "key 'waivers.0.output' names 'other', which is not there: choose one of reco_pt",
        ),
        ({"expires": "tomorrow"}, "key 'waivers.0': the expiry is 'tomorrow': give a day as YYYY-MM-DD"),
        ({"reason": "  "}, "key 'waivers.0': the reason is empty"),
        ({"until": "2027-01-31"}, "key 'waivers.0' has unknown key 'until'"),
    ],
)
def test_mistakes_in_waivers_are_named(mapping, entry, sentence):
    mapping["waivers"] = [WAIVER | entry]
    with pytest.raises(ConfigError, match=re.escape(sentence)):
        Config.from_mapping(mapping, SCHEMA)


def test_the_configuration_is_read_without_numpy_and_torch():
    code = "import sys, soaflow.config; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"numpy", "torch", "h5py"} & set(done.stdout.split())

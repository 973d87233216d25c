from soaflow.files import sha256_of_file
from soaflow.infer.loading import load_backend
from soaflow.infer.variants import REFERENCE
from soaflow.models.loading import build_model
from soaflow.models.weights import write_weights

MODEL = {"class_path": "soaflow.models.simple_net:SimpleNet", "arguments": {}, "seed": 1}


def test_an_eager_backend_names_the_weights_that_it_runs(bench, tmp_path):
    weights = tmp_path / "Net.pt"
    write_weights(weights, build_model(**MODEL))
    backend = load_backend(REFERENCE, bench.signature, artifact=None, weights=weights, **MODEL)
    assert backend.source_sha256 == sha256_of_file(weights)

"""A configuration of one small model on shards of toy events, for benchmarks that ask what a shard costs."""

from typing import Any


def configuration(shards: int, events_of_shard: int, variants: dict[str, Any]) -> dict[str, Any]:
    """Return a configuration of one model in these variants on so many shards of so many events."""
    return {
        "seed": 1,
        "datasets": {
            "toy": {
                "source": "toy",
                "events": shards * events_of_shard,
                "shards": shards,
                "collections": ["particles"],
            }
        },
        "models": {
            "SimpleNet": {
                "class": "soaflow.models.simple_net:SimpleNet",
                "datasets": ["toy"],
                "measure_speed": False,
                "inputs": [{"name": "particles", "collection": "particles", "items": ["pt", "eta", "phi"]}],
                "outputs": [{"name": "reco_pt", "items": [{"name": "reco_pt", "dtype": "float32"}]}],
            }
        },
        "variants": variants,
        "tolerances": {"float32": {"absolute": 1.0e-5, "relative": 1.0e-4}},
    }

import pytest

from soaflow.compare.invariance_settings import InvarianceSettings
from soaflow.compare.tolerances import Tolerance
from soaflow.errors import ConfigError


def test_everything_has_a_default():
    settings = InvarianceSettings.from_mapping("invariance", {})
    assert (settings.rows, settings.calls, settings.batch_sizes) == (20000, 1000, (1, 7, 64, 1000))
    assert (settings.tolerances, settings.same_bits, settings.pairs) == ({}, (), ())


def test_every_key_is_taken():
    settings = InvarianceSettings.from_mapping(
        "invariance",
        {
            "rows": 10,
            "calls": 5,
            "batch_sizes": [3],
            "tolerances": {"float16": {"absolute": 1e-2, "relative": 0}},
            "same_bits": ["jit"],
            "pairs": [
                {"variants": ["aot", "fat"]},
                {"variants": ["jit", "aot"], "absolute": 0.5, "relative": 0.25},
            ],
        },
    )
    assert (settings.rows, settings.calls, settings.batch_sizes) == (10, 5, (3,))
    assert settings.same_bits == ("jit",)
    assert settings.tolerances == {"float16": Tolerance(1e-2, 0.0)}
    assert settings.limits_beside("aot") == {"fat": None, "jit": Tolerance(0.5, 0.25)}
    assert settings.limits_beside("jit") == {"aot": Tolerance(0.5, 0.25)}
    assert settings.among(["aot", "fat"]).limits_beside("aot") == {"fat": None}
    assert settings.named_variants == ["jit", "aot", "fat", "jit", "aot"]


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        ({"row": 3}, "invariance has unknown key 'row': use rows, calls, batch_sizes"),
        ({"rows": 0}, "rows 0, calls 1000, batch sizes .* give integers from 1"),
        ({"rows": True}, "give integers from 1"),
        ({"calls": 0}, "calls 0"),
        ({"batch_sizes": [1, 0]}, "give integers from 1"),
        ({"batch_sizes": [7, 1, 7]}, "one of the batch sizes is there twice"),
        ({"batch_sizes": 7}, "invariance: .*not iterable"),
        ({"pairs": [{"variants": ["aot"]}]}, "a pair is of the variants aot: name two"),
        ({"pairs": [{"variants": ["aot", "aot"]}]}, "name two"),
        ({"pairs": [{"variants": ["a", "b"]}, {"variants": ["b", "a"]}]}, "one of the pairs is there twice"),
        ({"pairs": [{"variants": ["a", "b"], "absolute": 1}]}, "has the keys absolute: give absolute and"),
        ({"tolerances": {"float32": {"absolute": -1, "relative": 0}}}, "absolute tolerance is -1"),
    ],
)
def test_a_mistake_is_a_sentence(entry, sentence):
    with pytest.raises(ConfigError, match=sentence):
        InvarianceSettings.from_mapping("invariance", entry)

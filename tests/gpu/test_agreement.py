"""Each model on the GPU against float64 on the CPU, the same kind of artifact there, and itself."""

import numpy as np
import pytest

from soaflow.infer.variants import REFERENCE

pytestmark = [pytest.mark.gpu, pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")]

MODELS = ("SimpleNet", "MultiHeadNet", "TinyResNet", "TrackHitDeepSet")
ON_CPU = {"eager_gpu": "eager", "jit_gpu": "jit", "aot_gpu": "aot"}
ROUNDED = ("aot_gpu_float16", "aot_gpu_bfloat16", "jit_gpu_float16", "jit_gpu_tf32")


def assert_within(workshop, model, variant, found, expected):
    tolerances = workshop.config.item_tolerances(model, variant.precision)
    for item, values in found.items.items():
        allowed = tolerances[item]
        assert values.size
        np.testing.assert_allclose(
            values.astype(np.float64), expected.items[item], rtol=allowed.relative, atol=allowed.absolute
        )


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("name", ON_CPU)
@pytest.mark.parametrize("batch_size", [0, 64, 977])
def test_the_gpu_agrees_with_float64_and_the_cpu_and_repeats_itself(
    workshop, tmp_path, model, name, batch_size
):
    variant = workshop.variant(name, model, batch_size=batch_size)
    runs = []
    for number in range(2):
        (tmp_path / str(number)).mkdir()
        runs.append(workshop.run(model, variant, tmp_path / str(number)))
    found = runs[0]
    assert (found.proof.device, found.proof.dtype) == ("cuda", "float32")
    for item, values in found.items.items():
        np.testing.assert_array_equal(runs[1].items[item], values)
    for on_cpu in (REFERENCE.name, ON_CPU[name]):
        assert_within(workshop, model, variant, found, workshop.on_cpu(model, on_cpu))


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("name", ROUNDED)
def test_a_lower_precision_holds_its_own_tolerances(workshop, tmp_path, model, name):
    variant = workshop.variant(name, model)
    found = workshop.run(model, variant, tmp_path)
    assert_within(workshop, model, variant, found, workshop.on_cpu(model, REFERENCE.name))
    if variant.dtype != "float32":
        exact = workshop.run(model, workshop.variant("eager_gpu", model), tmp_path)
        assert any((found.items[item] != exact.items[item]).any() for item in found.items)

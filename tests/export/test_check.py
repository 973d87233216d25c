import pytest
import torch

from soaflow.errors import ExportError, ModelError
from soaflow.export.check import check_against_eager, returning
from soaflow.export.examples import CallShape, shapes_to_check
from soaflow.soa.contract import RETURNED, STORED
from soaflow.soa.layout import Item, Layout
from soaflow.soa.signature import RowRange, Signature, TensorInput, TensorOutput


def check(candidate, case, eager=None, dtype="float32"):
    return check_against_eager(
        candidate, eager or case.model, case.signature, model_name="Net", what="artifact", dtype=dtype
    )


def test_the_same_model_passes_and_the_figures_say_so(normalisation_case):
    figures = check(normalisation_case.model, normalisation_case)
    assert figures.largest_difference == {"y": 0.0}
    assert figures.largest_value["y"] >= figures.variation["y"] / 2 > 0
    assert figures.to_mapping()["calls"][0]["rows"] == 1


def test_it_runs_on_one_thread_as_jobs_do(normalisation_case, more_threads):
    seen = set()

    def watching(*inputs):
        seen.add(torch.get_num_threads())
        return normalisation_case.model(*inputs)

    check(watching, normalisation_case, eager=watching)
    assert seen == {1}
    assert torch.get_num_threads() == more_threads


def place(rows, dtype):
    return Layout.of(Item("x", dtype)).place(rows).stride("x")


def test_the_calls_have_one_row_none_and_unequal_strides():
    shapes = list(shapes_to_check())
    assert {shape.rows for shape in shapes} >= {1, 7, 64, 300}
    assert {shape.offset for shape in shapes} >= {0, 5, 33, 64, 129}
    assert {place(shape.capacity, "float32") for shape in shapes} == {32, 64, 320, 4128}
    assert all(place(shape.capacity, "uint8") != place(shape.capacity, "float32") for shape in shapes)
    assert sum(place(shape.capacity, "float64") != place(shape.capacity, "float32") for shape in shapes) > 3
    assert {shape.whole_rows for shape in shapes} >= {0, 1}
    assert all(shape.offset + shape.rows <= shape.capacity for shape in shapes)


def baked_stride(model, stride):
    return lambda x: model(x.as_strided(x.shape, (1, stride)))


def baked_row_major(model):
    return lambda x: model(x.as_strided(x.shape, (x.shape[1], 1)))


@pytest.mark.parametrize(
    "make", [lambda m: baked_stride(m, 64), lambda m: baked_stride(m, 320), baked_row_major]
)
def test_wrong_strides_are_caught(normalisation_case, make):
    with pytest.raises(ExportError, match=r"artifact of model Net at \d+ rows from row \d+ of "):
        check(make(normalisation_case.model), normalisation_case)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda y: y + 1e-3,
        lambda y: y[:1].expand_as(y),
        lambda y: torch.where(torch.arange(len(y))[:, None] == 299, y * 1.01, y),
        lambda y: torch.full_like(y, float("nan")),
        lambda y: torch.where(torch.arange(len(y))[:, None] == 6, float("inf"), y),
        lambda y: y[:, :1],
        lambda y: (y, y),
        lambda y: y[:-1],
    ],
)
def test_wrong_outputs_are_caught(normalisation_case, wrong):
    model = normalisation_case.model
    with pytest.raises(ExportError, match="artifact of model Net at"):
        check(lambda x: wrong(model(x)), normalisation_case)


def test_a_candidate_that_fails_is_named_with_its_call(normalisation_case):
    def fails(x):
        if len(x) == 1:
            raise RuntimeError("expected at least\n2 rows")
        return normalisation_case.model(x)

    with pytest.raises(
        ExportError,
        match=r"at 1 rows from row 0 of a collection of 7 fails: RuntimeError: expected at least$",
    ):
        check(fails, normalisation_case)


@pytest.mark.parametrize("value", [0.0, 3.0, float("nan"), float("inf")])
def test_outputs_that_cannot_tell_are_refused(normalisation_case, value):
    def constant(x):
        return torch.full((len(x), 2), value)

    with pytest.raises(ExportError, match="cannot be checked"):
        check(constant, normalisation_case, eager=constant)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_a_probability_is_checked_where_it_lies_between_0_and_1(dtype):
    """It is flat over small inputs, and over large ones as much is allowed as it can vary."""

    def above(threshold):
        return lambda pt: torch.sigmoid(4 * (pt[:, :1].to(getattr(torch, dtype)) - threshold))

    signature = one_output(PT).computed_in(dtype)
    assert check_inputs_of(signature, above(10), above(10), dtype).variation["y"] == 1
    with pytest.raises(ExportError, match="differs from the eager model: output 'y' by "):
        check_inputs_of(signature, above(6), above(10), dtype)


def test_matching_nan_and_infinity_are_right(normalisation_case):
    def some(x):
        y = normalisation_case.model(x).clone()
        y[0, 0], y[0, 1] = float("nan"), float("inf")
        return y

    assert check(some, normalisation_case, eager=some).largest_difference == {"y": 0.0}


def test_infinities_of_other_sign_are_caught(normalisation_case):
    def infinite(sign):
        def model(x):
            y = normalisation_case.model(x).clone()
            y[0] = sign * float("inf")
            return y

        return model

    with pytest.raises(ExportError, match="differs"):
        check(infinite(1), normalisation_case, eager=infinite(-1))


def test_a_model_that_does_not_fit_is_the_users_to_mend(normalisation_case):
    with pytest.raises(ModelError, match=r"model Net fails on inputs of its signature \(momenta \[1, 4\]\)"):
        check(lambda x: x, normalisation_case, eager=torch.nn.Linear(3, 2))
    with pytest.raises(ModelError, match=r"model Net: output 'y' has shape \[1, 5\]"):
        check(lambda x: x, normalisation_case, eager=torch.nn.Linear(4, 5))


def test_the_calls_can_be_chosen(normalisation_case):
    figures = check_against_eager(
        normalisation_case.model,
        normalisation_case.model,
        normalisation_case.signature,
        model_name="Net",
        what="artifact",
        dtype="float32",
        shapes=[CallShape(2, 32)],
    )
    assert figures.calls == (CallShape(2, 32),)


def check_inputs_of(signature, candidate, eager, dtype="float32"):
    return check_against_eager(candidate, eager, signature, model_name="Net", what="artifact", dtype=dtype)


def test_one_stride_for_all_dtypes_is_caught(mask_case):
    def wrong(momenta, mask):
        return mask_case.model(momenta, mask.as_strided(mask.shape, (1, momenta.stride(1))))

    check_inputs_of(mask_case.signature, mask_case.model, mask_case.model)
    with pytest.raises(ExportError, match="differs"):
        check_inputs_of(mask_case.signature, wrong, mask_case.model)


PARTICLES = Layout.of(Item("pt", "float32"), Item("eta", "float32"), Item("particle_class", "int32"))
CLUSTERS = Layout.of(Item("x", "float32"), Item("y", "float32"))
PT = TensorInput("pt", "particles", PARTICLES, ("pt", "eta"))
CLASS = TensorInput("particle_class", "particles", PARTICLES, ("particle_class",))
WHOLE = tuple(TensorInput(name, name, CLUSTERS, ("x", "y"), RowRange.WHOLE) for name in ("hits", "clusters"))


def one_output(*inputs):
    return Signature(inputs, (TensorOutput("y", ("y",)),), Layout.of(Item("y", "float32")))


@pytest.mark.parametrize(
    "mix", [lambda a, b: (a, b.as_strided(b.shape, a.stride())), lambda a, b: (a, b[: len(a)])]
)
def test_whole_collections_taken_for_each_other_are_caught(mix):
    def eager(pt, hits, clusters):
        return pt[:, :1] + (hits.sum(dim=0) * clusters.sum(dim=0)).tanh().sum() + (clusters.sum() - 3)

    with pytest.raises(ExportError, match="differs"):
        check_inputs_of(one_output(PT, *WHOLE), lambda pt, *whole: eager(pt, *mix(*whole)), eager)


def test_a_model_of_negative_values_only_can_be_checked():
    def model(pt):
        return torch.relu(-pt[:, 1:])

    figures = check_inputs_of(one_output(PT), model, model)
    assert figures.variation["y"] > 10


def test_logarithms_of_negative_values_match():
    def model(pt):
        return torch.log(pt[:, :1])

    assert check_inputs_of(one_output(PT), model, model).largest_difference == {"y": 0.0}


def test_integers_are_as_large_as_the_model_takes():
    def model(limit):
        def embed(pt, particle_class):
            return torch.arange(limit)[particle_class.long()] + pt[:, :1]

        return embed

    signature = one_output(PT, CLASS)
    for limit, largest in ((100, 11), (3, 2), (2, 1)):
        figures = check_inputs_of(signature, model(limit), model(limit))
        assert figures.largest_integer == largest
    with pytest.raises(ModelError, match="fails on inputs of its signature"):
        check_inputs_of(signature, model(1), model(1))


def storing(model, spill=0):
    """Store the model's result in the tensor that follows its input, and in so many rows after it."""

    def run(momenta, stored):
        stored.copy_(model(momenta))
        if spill:
            stored.as_strided((len(stored) + spill, *stored.shape[1:]), stored.stride())[-spill:] = 0.0

    return run


def test_a_model_that_stores_its_outputs_is_checked_by_what_it_stored(normalisation_case):
    model, signature = normalisation_case.model, normalisation_case.signature
    named = {"model_name": "Net", "what": "artifact", "dtype": "float32"}
    check_against_eager(returning(storing(model), signature, STORED), model, signature, **named)
    wrong = returning(storing(lambda momenta: model(momenta) + 1), signature, STORED)
    with pytest.raises(ExportError, match="differs from the eager model"):
        check_against_eager(wrong, model, signature, **named)
    with pytest.raises(ExportError, match="writes outside the rows that its outputs are to be stored in"):
        check_against_eager(returning(storing(model, 1), signature, STORED), model, signature, **named)
    assert returning(model, signature, RETURNED) is model

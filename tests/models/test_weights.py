"""Weights files."""

import pytest
import torch
from torch import nn

from soaflow.errors import ArtifactError, OutputError
from soaflow.files import sha256_of_file
from soaflow.models.weights import read_weights, write_weights


def net(width: int = 3) -> nn.Module:
    return nn.Sequential(nn.BatchNorm1d(2), nn.Linear(2, width))


def change_of(name, function):
    """A function that changes one tensor of a state dict."""
    return lambda weights: weights.update({name: function(weights[name])})


def state(module: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def test_reading_gives_back_what_was_written(tmp_path) -> None:
    first, second = net(), net()
    first(torch.randn(5, 2))  # fills the statistics of the normalisation
    write_weights(tmp_path / "deep" / "w.pt", first)
    read_weights(tmp_path / "deep" / "w.pt", second)
    assert all(torch.equal(a, b) for a, b in zip(state(first).values(), state(second).values(), strict=True))


def test_equal_weights_give_equal_bytes_under_any_name(tmp_path) -> None:
    model = net()
    write_weights(tmp_path / "a.pt", model)
    write_weights(tmp_path / "another name.pt", model)
    assert sha256_of_file(tmp_path / "a.pt") == sha256_of_file(tmp_path / "another name.pt")


def test_file_is_a_plain_state_dict(tmp_path) -> None:
    write_weights(tmp_path / "w.pt", net())
    loaded = torch.load(tmp_path / "w.pt", weights_only=True)
    assert type(loaded) is dict
    assert list(loaded) == list(net().state_dict())


def test_casts_to_the_modules_precision(tmp_path) -> None:
    model, double = net(), net().double()
    write_weights(tmp_path / "w.pt", model)
    read_weights(tmp_path / "w.pt", double)
    assert torch.equal(double[1].weight, model[1].weight.double())


def test_reads_what_users_save(tmp_path) -> None:
    model, other = net(), net()
    torch.save(model.state_dict(), tmp_path / "w.pt")
    read_weights(tmp_path / "w.pt", other)
    assert torch.equal(model[1].weight, other[1].weight)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda weights: weights.pop("1.bias"), r"w\.pt does not fit Sequential: '1\.bias' is missing;"),
        (
            lambda weights: (weights.pop("1.bias"), weights.pop("1.weight")),
            r"'1\.weight' is missing, with 1 more",
        ),
        (lambda weights: weights.update(extra=torch.ones(1)), "the model has no 'extra'"),
        (
            lambda weights: weights.update({"1.weight": torch.ones(4, 2)}),
            r"'1\.weight' has shape \[4, 2\], and the model's has \[3, 2\]",
        ),
        (change_of("1.weight", torch.Tensor.to_sparse), r"'1\.weight' is not a dense tensor with values"),
        (change_of("1.weight", lambda t: t.to("meta")), r"'1\.weight' is not a dense tensor with values"),
        (change_of("1.weight", lambda t: t + 1j), r"'1\.weight' is complex, and the model's is real"),
        (change_of("1.bias", lambda t: t / 0 * 0), r"'1\.bias' holds NaN"),
    ],
)
def test_weights_of_another_model_change_nothing(tmp_path, change, sentence) -> None:
    weights = dict(net().state_dict())
    change(weights)
    torch.save(weights, tmp_path / "w.pt")
    model = net()
    before = state(model)
    with pytest.raises(ArtifactError, match=sentence):
        read_weights(tmp_path / "w.pt", model)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


class Harmful:
    """Would run a command if its pickle were trusted."""

    def __reduce__(self):
        return print, ("run",)


@pytest.mark.parametrize(
    "content",
    [net(), [torch.ones(1)], {"a": 3}, {"a": Harmful()}],
    ids=["module", "list", "number", "code"],
)
def test_other_content_is_refused_and_not_run(tmp_path, capsys, content) -> None:
    torch.save(content, tmp_path / "w.pt")
    with pytest.raises(ArtifactError, match="state_dict"):
        read_weights(tmp_path / "w.pt", net())
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("keep", [0, 1, 100, 1000, -200, -1])
def test_truncated_file_is_refused(tmp_path, keep) -> None:
    write_weights(tmp_path / "w.pt", net())
    content = (tmp_path / "w.pt").read_bytes()
    (tmp_path / "w.pt").write_bytes(content[:keep])
    with pytest.raises(ArtifactError, match=r"w\.pt is corrupt or not a weights file"):
        read_weights(tmp_path / "w.pt", net())


@pytest.mark.parametrize("content", [b"text\n", b"PK\x03\x04", b"\x80\x02junk", b"\x00" * 4096])
def test_foreign_file_is_refused(tmp_path, content) -> None:
    (tmp_path / "w.pt").write_bytes(content)
    with pytest.raises(ArtifactError, match=r"w\.pt is corrupt or not a weights file"):
        read_weights(tmp_path / "w.pt", net())


def test_missing_file_and_folder(tmp_path) -> None:
    with pytest.raises(ArtifactError, match=r"w\.pt cannot be read: No such file or directory"):
        read_weights(tmp_path / "w.pt", net())
    with pytest.raises(ArtifactError, match="cannot be read"):
        read_weights(tmp_path, net())


def test_failed_write_leaves_nothing(tmp_path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        write_weights(tmp_path / "file" / "w.pt", net())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file"]

import pytest
import torch
from fake_cuda import FakeAccelerator

from soaflow.errors import DeviceError
from soaflow.infer.chunks import ChunkPlan
from soaflow.infer.device_place import OnDevice
from soaflow.infer.places import InPlace, place_for
from soaflow.infer.variants import Device
from soaflow.soa.layout import Item, ItemKind, Layout


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_place_on_a_gpu_that_torch_cannot_use_is_refused():
    with pytest.raises(DeviceError, match="cuda"):
        place_for(Device.CUDA)


PARTICLES = Layout.of(Item("pt", "float32"), Item("eta", "float32"))
SCORES = Layout.of(Item("scores", "float64", ItemKind.EIGEN, (4,)))


def test_in_place_all_rows_are_one_chunk():
    assert InPlace().plan(100, 7, PARTICLES, SCORES) == ChunkPlan.whole(100, 7)


@pytest.mark.parametrize(("read", "written"), [(PARTICLES, SCORES), (SCORES, PARTICLES)])
def test_on_a_device_a_chunk_is_as_long_as_the_wider_of_inputs_and_outputs_allows(read, written):
    place = OnDevice(FakeAccelerator(), chunk_bytes=32 * 500)
    assert place.plan(1000, 64, read, written) == ChunkPlan(1000, 64, 448)
    assert place.plan(1000, 0, read, written) == ChunkPlan.whole(1000, 0)

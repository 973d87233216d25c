"""CUDA's driver as far as soaflow asks it of the machine: three GPUs, or those that the environment shows."""

import os
import uuid


class FakeDriver:
    """The calls that are made, with what they answer."""

    capabilities = ((8, 0), (9, 0), (12, 1))
    started = 0

    def __init__(self, *_names):
        everything = range(len(self.capabilities))
        named = os.environ.get("CUDA_VISIBLE_DEVICES")
        self.visible = list(everything) if named is None else [int(one) for one in named.split(",") if one]

    def cuInit(self, _flags):  # noqa: N802
        return self.started

    def cuDeviceGetCount(self, count):  # noqa: N802
        count._obj.value = len(self.visible)
        return 0

    def cuDeviceGetAttribute(self, value, attribute, number):  # noqa: N802
        value._obj.value = self.capabilities[self.visible[number]][{75: 0, 76: 1}[attribute]]
        return 0

    def cuDeviceGetUuid(self, content, number):  # noqa: N802
        content._obj[15] = self.visible[number]
        return 0

    def cuDeviceGetUuid_v2(self, content, number):  # noqa: N802
        return self.cuDeviceGetUuid(content, number)


class TwoOfAKind(FakeDriver):
    """Two GPUs of one architecture."""

    capabilities = ((9, 0), (9, 0))


class Split(FakeDriver):
    """One GPU in two parts (MIG): a process sees the first that the environment names, or else part a."""

    capabilities = ((9, 0),)
    parts = ("MIG-a0000000-0000-0000-0000-00000000000a", "MIG-b0000000-0000-0000-0000-00000000000b")

    def __init__(self, *_names):
        named = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]
        seen = self.parts[0] if named == "0" else next(part for part in self.parts if part.startswith(named))
        self.visible = [0]
        self.part = uuid.UUID(seen.removeprefix("MIG-")).bytes

    def cuDeviceGetUuid_v2(self, content, _number):  # noqa: N802
        content._obj[:] = self.part
        return 0

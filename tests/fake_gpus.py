"""CUDA's driver as far as soaflow asks it of the machine: three GPUs, or those that the environment shows."""

import os


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

    def cuDeviceGetUuid_v2(self, content, number):  # noqa: N802
        content._obj[15] = self.visible[number]
        return 0


class TwoOfAKind(FakeDriver):
    """Two GPUs of one architecture."""

    capabilities = ((9, 0), (9, 0))

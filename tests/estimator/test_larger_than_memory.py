"""Memmaps are read a part at a time, under a limit that a copy of them would break."""

import subprocess
import sys

import numpy as np
import pytest

MIB = 2**20
FILE_MIB, ROOM_MIB = 300, 250

#: `RLIMIT_DATA` counts private writable memory: heaps, stacks and anonymous maps, but neither libraries nor
#: the memmap. (`RLIMIT_AS` would count all address space, memmaps included.) What torch has taken by then,
#: most of it never touched, is added to the room; a copy of the memmap shows that it would not fit.
CHILD = f"""
import resource, sys, warnings
import numpy as np
from dmzrep import DMZEncoder

warnings.simplefilter("ignore")
params = dict(width=(8, 16), encoder_width=8, init="random", encoder_augment=None, random_state=0)
encoder = DMZEncoder(16, max_time=0.5, **params)
few = np.random.default_rng(0).integers(0, 256, (300, 64, 64, 3), dtype=np.uint8)
encoder.fit(few).transform(few)

taken = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmData"))
limit = taken * 1024 + {ROOM_MIB * MIB}
resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
X = np.load("images.npy", mmap_mode="r")
try:
    np.array(X)
except MemoryError:
    print("no room for a copy")
encoder.fit(X)
codes = np.lib.format.open_memmap("codes.npy", mode="w+", dtype=np.float32, shape=(len(X), 16))
encoder.transform(X, out=codes)
np.testing.assert_array_equal(encoder.transform(X[-5:]), codes[-5:])
print("fitted and encoded", len(X))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_DATA counts all private memory on Linux")
def test_a_memmap_larger_than_the_memory_that_is_left_is_fitted_and_encoded(tmp_path):
    shape = (FILE_MIB * MIB // (64 * 64 * 3), 64, 64, 3)
    X = np.lib.format.open_memmap(tmp_path / "images.npy", mode="w+", dtype=np.uint8, shape=shape)
    generator = np.random.default_rng(0)
    for row in range(0, len(X), 8):  # The file is sparse between.
        X[row] = generator.integers(0, 256, shape[1:], dtype=np.uint8)
    X.flush()
    done = subprocess.run([sys.executable, "-c", CHILD], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["no room for a copy", f"fitted and encoded {len(X)}"]

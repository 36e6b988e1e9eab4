"""Memory maps are read in parts, under a limit that a copy of them would exceed."""

import subprocess
import sys

import numpy as np
import pytest

MIB = 2**20
FILE_MIB, ROOM_MIB = 300, 250

#: `RLIMIT_DATA` counts private writable memory, not memory maps of files. What torch has reserved before
#: counts too, and so is added to the limit.
CHILD = f"""
import resource, warnings
import numpy as np
from dmzrep import DMZEncoder, Network

warnings.simplefilter("ignore")
network = Network(width=(8, 16), encoder_width=8)
params = dict(network=network, init="random", encoder_augment=None, random_state=0)
encoder = DMZEncoder(16, max_time=0.5, **params)
few = np.random.default_rng(0).integers(0, 256, (300, 64, 64, 3), dtype=np.uint8)
encoder.fit(few).transform(few)

reserved = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmData"))
limit = reserved * 1024 + {ROOM_MIB * MIB}
resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
X = np.load("images.npy", mmap_mode="r")
try:
    np.array(X)
except MemoryError:
    print("no room for a copy")
encoder.fit(X)
codes = np.lib.format.open_memmap("codes.npy", mode="w+", dtype=np.float32, shape=(len(X), 16))
encoder.transform(X, out=codes)
np.testing.assert_allclose(encoder.transform(X[-5:]), codes[-5:], atol=1e-5)
print("fitted and encoded", len(X))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_DATA counts all private memory on Linux")
def test_a_memory_map_larger_than_the_free_memory_is_fitted_and_encoded(tmp_path):
    shape = (FILE_MIB * MIB // (64 * 64 * 3), 64, 64, 3)
    X = np.lib.format.open_memmap(tmp_path / "images.npy", mode="w+", dtype=np.uint8, shape=shape)
    generator = np.random.default_rng(0)
    for i in range(0, len(X), 8):  # The file is sparse between.
        X[i] = generator.integers(0, 256, shape[1:], dtype=np.uint8)
    X.flush()
    done = subprocess.run([sys.executable, "-c", CHILD], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["no room for a copy", f"fitted and encoded {len(X)}"]

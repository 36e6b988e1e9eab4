"""The packages whose names are public."""

import pkgutil

import dmzrep

#: Packages for work on dmzrep itself; what users need of them is exported by `dmzrep`.
INNER = {"_base", "data", "diffusion", "files", "inference", "networks", "training"}
PACKAGES = ["dmzrep"]
PACKAGES += [f"dmzrep.{m.name}" for m in pkgutil.iter_modules(dmzrep.__path__) if m.name not in INNER]

"""
Binary codes of text embeddings
===============================

Embeddings of any model can be compressed to bits without training a network.
:class:`~dmzrep.retrieval.ITQTransformer` does so by linear maps; here it is applied to embeddings of the
docstrings of scikit-learn, NumPy and SciPy, which are searched for similar functions.
"""

# %%
# Embeddings of docstrings
# ------------------------
#
# Latent semantic analysis: TF-IDF, reduced to 256 dimensions and normalised.

import inspect

import numpy as np
import scipy.linalg
import scipy.signal
import scipy.special
import scipy.stats
import sklearn.metrics
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer
from sklearn.utils.discovery import all_estimators

objects = dict(all_estimators())
modules = (np, np.linalg, np.fft, scipy.linalg, scipy.signal, scipy.special, scipy.stats, sklearn.metrics)
for module in modules:
    prefix = module.__name__.split(".")[-1]
    objects |= {f"{prefix}.{name}": getattr(module, name) for name in dir(module) if name[0] != "_"}
texts = {name: inspect.getdoc(value) or "" for name, value in objects.items() if callable(value)}
texts = {name: text for name, text in texts.items() if len(text) > 300}
names = np.array(list(texts))
embed = make_pipeline(
    TfidfVectorizer(sublinear_tf=True, stop_words="english", token_pattern=r"[a-zA-Z]{3,}"),
    TruncatedSVD(256, random_state=0),
    Normalizer(),
)
embeddings = embed.fit_transform(list(texts.values())).astype(np.float32)
print(embeddings.shape, f"{embeddings.nbytes / 1024:.0f} KiB")

# %%
# Search by bits
# --------------
#
# Codes of 128 bits take 16 bytes, a 64th of the embeddings. Candidates by Hamming distance are rescored by
# the exact embeddings.

import pandas as pd

from dmzrep.retrieval import FaissNeighbors, ITQTransformer

itq = ITQTransformer(128, output="packed", random_state=0)
codes = itq.fit_transform(embeddings)
neighbors = FaissNeighbors(5, packed=True, rescore="cosine").fit(codes, vectors=embeddings)
queries = ["KMeans", "linalg.svd", "stats.ttest_ind"]
places = [np.flatnonzero(names == query)[0] for query in queries]
_, found = neighbors.kneighbors(codes[places], vectors=embeddings[places])
pd.DataFrame(names[found], index=queries).iloc[:, 1:]

# %%
# New queries are embedded and encoded in the same way:

query = embed.transform(["robust linear regression that ignores outliers"]).astype(np.float32)
_, found = neighbors.kneighbors(itq.transform(query), vectors=query)
print(", ".join(names[found[0]]))

# %%
# Methods and lengths
# -------------------
#
# Recall of the ten nearest neighbours by cosine distance, by bits alone and after rescoring four times as
# many candidates. ITQ rotates principal components towards their signs; random rotations need no data, but
# more bits.

import matplotlib.pyplot as plt

rng = np.random.default_rng(0)
is_query = np.isin(np.arange(len(names)), rng.choice(len(names), 300, replace=False))
stored, asked = embeddings[~is_query], embeddings[is_query]
lengths = (32, 64, 128, 256)
figure, ax = plt.subplots(figsize=(6.5, 4), layout="constrained")
for colour, method in enumerate(("itq", "pca_rotation", "random_rotation")):
    recalls = []
    for n_bits in lengths:
        itq = ITQTransformer(n_bits, method=method, random_state=0).fit(stored)
        index = FaissNeighbors(rescore="cosine").fit(itq.transform(stored), vectors=stored)
        table = index.recall(itq.transform(asked), vectors=asked, k=10, oversample=(1, 4))
        recalls.append(table["recall"])
    alone, rescored = np.transpose(recalls)
    ax.plot(lengths, rescored, "o-", color=f"C{colour}", label=f"{method}, rescored")
    ax.plot(lengths, alone, "o--", color=f"C{colour}", markerfacecolor="white", label=f"{method}, bits alone")
ax.set(xscale="log", xlabel="Bits", ylabel="Recall of the 10 nearest neighbours", ylim=(0, 1))
ax.set_xticks(lengths, lengths)
ax.minorticks_off()
ax.legend(frameon=False, fontsize=8)
plt.show()

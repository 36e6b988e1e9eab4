"""Sections of the results page on what codes are used for: search, probes, edits."""

from __future__ import annotations

from benchmarks.results import read
from benchmarks.tables import groups_of, having, made, measured, spread, table


def retrieval_speed_section() -> str:
    """Return the section on the speed of search."""
    rows = read("retrieval_speed")
    lines = [
        [
            name,
            f"{1000 * r['seconds']:.0f}",
            r["times_sklearn"],
            r["times_faiss_flat"],
            r["times_flat"],
            r["recall"],
            f"{r['held_bytes'] / 2**20:.0f}" if "held_bytes" in r else "",
        ]
        for name, r in {row["name"]: row for row in rows}.items()
    ]
    header = ["search", "ms", "speed-up, scikit-learn", "speed-up, FAISS flat", "speed-up, ours flat"]
    header += ["recall at 10"]
    one = rows[-1]
    return (
        f"## Search among {one['rows']:,} codes\n\n"
        f"{one['queries']:,} queries, {one['bits']} bits, k = {one['k']}; codes: {one['codes']}. Medians of "
        f"{one['repeats']} rounds in one process. Speed-ups are relative to the search named in the "
        "column.\n\n"
        f"{table([*header, 'memory, MiB'], lines)}\n\n{made(rows, 'retrieval_speed')}\n"
    )


def retrieval_quality_section() -> str:
    """Return the section on the quality of Hamming search."""
    rows = read("retrieval_quality")
    keys = ("map_at_100", "attribute_above_chance", "factor_above_chance")
    lines = []
    for (images, name, search), group in groups_of(rows, "images", "name", "search").items():
        figures = (spread([r[key] for r in group if key in r]) for key in keys)
        lines.append([images, name, search, len(group), spread([r["seconds"] for r in group], 0), *figures])
    header = ["images", "codes of 64 bits", "search", "seeds", "seconds", "mAP@100"]
    header += ["attributes alike", "factors alike"]
    return (
        "## Quality of search\n\n"
        "Test images are queried against the training images. mAP@100 of the class, with the sum of "
        "precisions divided by 100; for avatars, agreement of the 100 nearest neighbours with the query in "
        "47 attributes and 14 factors, from 0 (chance) to 1 (all agree).\n\n"
        f"{table(header, lines)}\n\n{made(rows, 'retrieval_quality')}\n"
    )


def probe_section() -> str:
    """Return the section on linear probes of the avatars' attributes, by protocol."""
    rows = read("probe_table")
    protocols = list(dict.fromkeys(row["protocol"] for row in rows))
    lines = []
    for (images, name, form), group in groups_of(rows, "images", "name", "form").items():
        cells = []
        for protocol in protocols:
            key = "average_precision" if protocol == "diti" else "roc_auc"
            cells.append(spread([r[key] for r in group if r["protocol"] == protocol]))
        lines.append([images, f"{name}, {form}", *cells])
    header = [f"{p}, {'average precision' if p == 'diti' else 'AUROC'}" for p in protocols]
    return (
        "## Attributes of avatars, 32 x 32\n\n"
        "Linear probes by several protocols (`dmzrep.probing`), mean over 47 attributes. In the protocols "
        '"holdout" and "diti", the encoder has not seen the test faces. All representations except pixels '
        "have "
        "64 dimensions.\n\n"
        f"{table(['faces', 'representation', *header], lines)}\n\n{made(rows, 'probe_table')}\n"
    )


def edit_section() -> str:
    """Return the section on edits, judged by a classifier of pixels."""
    rows = [row for row in read("edit_success") if row["split"] == "test"]
    keys = ("changed", "changed_unedited", "others_changed")
    lines = []
    for (choice,), group in groups_of(rows, "choice").items():
        lines += [[choice, row["attribute"], *(f"{row[key]:.3f}" for key in keys)] for row in group]
        scores = (spread([r[key] for r in group]) for key in keys)
        lines.append([choice, "mean ± standard deviation", *scores])
    header = ["choice", "attribute", "changed", "changed without an edit", "others changed"]
    one = rows[-1]
    return (
        "## Edits\n\n"
        f"Avatars of 32 x 32 pixels, {one['latent_dim']} bits, {one['seconds']:.0f} seconds of training, "
        f"parameters {one['params'] or 'default'}; {one['faces']} test faces. Changes are determined by a "
        f"classifier of pixels, which predicts {100 * one['judge_accuracy']:.1f} % of the test faces' "
        "attributes correctly.\n\n"
        f"{table(header, lines)}\n\n{made(rows, 'edit_success')}\n"
    )


#: Columns of the table of embeddings.
_EMBEDDINGS = ("recall@10", "recall@10 of 20", "recall@10 of 40", "recall@10 of 100", "recall@100", "mAP@100")


def embeddings_section() -> str:
    """Return the section on bits of embeddings in place of their floats."""
    rows = having(read("embeddings"), part="test")
    header = ["method", "bytes", "queries", "runs", *_EMBEDDINGS, "fit, s", "vectors/s"]
    parts = []
    for (name, stored), of_set in groups_of(rows, "set", "stored").items():
        lines = [
            [
                *(method, f"{size:g}", search, len(group)),
                *(measured(group, key) for key in _EMBEDDINGS),
                f"{group[0]['fit_seconds']:.0f}",
                f"{group[0]['vectors_per_second']:,.0f}",
            ]
            for (size, search, method), group in sorted(
                groups_of(of_set, "bytes", "search", "method").items(), key=lambda item: item[0][:2]
            )
        ]
        title = f"**{name}**: {stored:,} stored vectors of {4 * max(row['bits'] for row in of_set):,} bytes"
        parts.append(f"{title}\n\n{table(header, lines)}")
    return (
        "## Bits of embeddings\n\n![Recall by bytes per vector](../images/embeddings.png)\n\n"
        "CIFAR-10 and avatars: features of EfficientNet-Lite0; WordNet: glosses embedded with "
        'all-MiniLM-L6-v2. 2,000 held-out queries by cosine similarity. Queries are bits ("codes") or '
        'real-valued ("asymmetric"). "of 40": of the ten nearest, those among 40 candidates, which '
        'rescoring four times as many finds. "initialisation" is `DMZEncoder(max_iter=0)`; "DMZEncoder" was '
        "trained for 60 seconds. mAP is of the classes, of 35 kinds of hair and headgear, and of 45 "
        "topics.\n\n" + "\n\n".join(parts) + f"\n\n{made(rows, 'embeddings')}\n"
    )

"""What `jet_lstm` reads: the constituents of jets, made of their momenta."""

import pathlib
import pickletools

import numpy as np

# What a momentum's four numbers are called in the columns of public files.
COMPONENTS = ("E", "PX", "PY", "PZ")


def coordinates(momenta):
    """Transverse momentum pT, pseudorapidity η and azimuth φ of (E, px, py, pz).

    Args:
        momenta: Array (…, 4); those of zeros are padding.

    Returns:
        Array (…, 3), zeros where the momentum is; φ in [−π, π].
    """
    _, px, py, pz = np.moveaxis(np.asarray(momenta, dtype="float64"), -1, 0)
    pt = np.hypot(px, py)
    # Along the beam η has no bound.
    eta = np.arcsinh(pz / np.maximum(pt, 1e-9))
    return np.where(pt[..., None] > 0, np.stack([pt, eta, np.arctan2(py, px)], -1), 0.0)


def clustering_order(momenta, exponent=-1):
    """In which order a walk through a jet's clustering tree meets its constituents.

    The two of the least d_ij = min(pT_i^{2p}, pT_j^{2p}) ΔR²_ij are merged, again and again, and
    the tree is walked to its depth first, from the harder branch to the softer one.

    Args:
        momenta: Array (constituents, 4), without padding.
        exponent: p: −1 for anti-kT, 0 for Cambridge and Aachen's, 1 for kT.

    Returns:
        Array of the constituents' places.
    """
    momenta = np.array(momenta, dtype="float64")
    n = len(momenta)
    trees, alive = [(i,) for i in range(n)], np.ones(n, bool)
    points = coordinates(momenta)
    distances = np.full((n, n), np.inf)

    def renew(i):
        pt, eta, phi = points.T
        turn = np.abs(phi - phi[i])
        turn = np.minimum(turn, 2 * np.pi - turn)
        scale = np.maximum(pt, 1e-9) ** (2 * exponent)
        row = np.minimum(scale, scale[i]) * ((eta - eta[i]) ** 2 + turn**2)
        row[~alive] = np.inf
        row[i] = np.inf
        distances[i] = distances[:, i] = row

    for i in range(n):
        renew(i)
    for _ in range(n - 1):
        i, j = np.unravel_index(np.argmin(distances), distances.shape)
        if points[j, 0] > points[i, 0]:
            trees[i] = trees[j] + trees[i]
        else:
            trees[i] = trees[i] + trees[j]
        momenta[i] += momenta[j]
        points[i] = coordinates(momenta[i])
        alive[j] = False
        distances[j] = distances[:, j] = np.inf
        renew(i)
    return np.array(trees[int(np.argmax(alive))] if n else [], int)


def preprocess(momenta, constituents=120, order="clustering", rotate=True):
    """Momenta of jets as `jet_lstm` reads them.

    The hardest constituents are kept. η and φ are counted from their mean, weighted by pT; turned
    so that their spread, weighted so too, is along the second axis, and reflected so that more of
    the pT lies on the positive side of both. pT is a share of the jet's. What arXiv 1711.09059 says
    of its own preparation could not be compared.

    Example:
    >>> keras_recres.zoo.jets.preprocess(np.ones((2, 10, 4)), constituents=5).shape
    (2, 5, 3)

    Args:
        momenta: Array (jets, places, 4) of (E, px, py, pz), rows of zeros being padding.
        constituents: Integer ≥ 1, how many to keep, and to pad to.
        order: "clustering", see `clustering_order`, or "pt", the hardest first.
        rotate: Whether to turn and to reflect.

    Returns:
        float32 array (jets, constituents, 3): pT, and the two coordinates; zeros are padding.

    Raises:
        ValueError: If the momenta have another shape or are not numbers, or `order` is unknown.
    """
    momenta = np.asarray(momenta)
    if momenta.ndim != 3 or momenta.shape[-1] != len(COMPONENTS):
        raise ValueError(
            f"`momenta` must have the shape (jets, places, 4), E, px, py and pz, but it has the "
            f"shape {momenta.shape}."
        )
    if order not in ("clustering", "pt"):
        raise ValueError(f"`order` must be 'clustering' or 'pt', but it is {order!r}.")
    if not np.isfinite(momenta).all():
        raise ValueError("`momenta` must be numbers, but some are infinite or NaN.")
    jets = np.zeros((len(momenta), constituents, 3), "float32")
    for row, jet in zip(jets, momenta, strict=True):
        pt = coordinates(jet)[:, 0]
        hardest = np.argsort(-pt, kind="stable")[: min(constituents, np.count_nonzero(pt))]
        if not len(hardest):
            continue
        jet = jet[hardest]
        if order == "clustering":
            jet = jet[clustering_order(jet)]
        row[: len(jet)] = _standing(coordinates(jet), rotate)
    return jets


def _standing(points, rotate):
    """pT, η and φ of one jet from its centre, turned and reflected."""
    pt, eta, phi = points.T
    share = pt / pt.sum()
    # From the hardest one's, so that a jet at φ = π is not torn in two.
    phi = np.angle(np.exp(1j * (phi - phi[np.argmax(pt)])))
    plane = np.stack([eta, phi])
    plane -= plane @ share[:, None]
    if rotate:
        _, axes = np.linalg.eigh((plane * share) @ plane.T)
        plane = axes.T @ plane
        sides = (share * (plane > 0)).sum(1) - (share * (plane < 0)).sum(1)
        plane *= np.where(sides < 0, -1, 1)[:, None]
    return np.stack([share, *plane], -1)


def read_top_tagging(path, start=0, stop=None):
    """Jets of the public top-tagging data set, one of its HDF5 files.

    The files are tables of PyTables: 200 constituents a jet, the hardest first, and whether it is
    of a top quark. h5py reads them; their column names, which are pickled, are only parsed.

    Example:
    >>> momenta, labels = jets.read_top_tagging("train.h5", stop=10_000)

    Args:
        path: The file.
        start: First jet.
        stop: The one after the last, or None for all.

    Returns:
        float32 momenta (jets, 200, 4) in GeV, and int labels (jets,): 1 for a top quark.

    Raises:
        ValueError: If the file has another layout.
        FileNotFoundError: If there is none.
    """
    import h5py

    path = pathlib.Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path} is not there: it must be a file of the data set.")
    if not h5py.is_hdf5(path):
        raise ValueError(f"{path} must be an HDF5 file of the top-tagging data set, but is not.")
    with h5py.File(path, "r") as file:
        table = file.get("table/table")
        blocks = [] if table is None or table.dtype.names is None else table.dtype.names
        names = {block: _names(table.attrs.get(f"{block}_kind", b"")) for block in blocks}
        columns = {name: (block, i) for block in names for i, name in enumerate(names[block])}
        count = sum(name.startswith("PX_") for name in columns)
        wanted = [f"{part}_{i}" for i in range(count) for part in COMPONENTS]
        missing = [name for name in [*wanted, "is_signal_new"] if name not in columns]
        if not count or missing:
            raise ValueError(
                f"{path} must have, as the public top-tagging data set, a table with the columns "
                f"E_0, PX_0, PY_0, PZ_0, … and is_signal_new, but "
                f"{missing[0] if count else 'PX_0'} is not there."
            )
        rows = table[start:stop]
    places = [columns[name] for name in wanted]
    block = places[0][0]
    if any(other != block for other, _ in places):
        raise ValueError(f"{path} must have all momenta in one block of its table.")
    momenta = rows[block][:, [i for _, i in places]].astype("float32")
    block, i = columns["is_signal_new"]
    return momenta.reshape(len(rows), count, len(COMPONENTS)), rows[block][:, i].astype("int64")


def _names(kind):
    """The texts in a pickled list, without unpickling anything."""
    kind = kind.encode("latin-1") if isinstance(kind, str) else bytes(kind)
    if not kind:
        return []
    return [text for code, text, _ in pickletools.genops(kind) if "UNICODE" in code.name]

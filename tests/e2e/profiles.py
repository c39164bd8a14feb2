# SPDX-License-Identifier: BSD-2-Clause
"""Profiles in pprof's format, as they are: protocol buffers, gzipped."""
import gzip


def varint(b, i):
    v = shift = 0
    while True:
        v |= (b[i] & 0x7f) << shift
        shift += 7
        i += 1
        if not b[i - 1] & 0x80:
            return v, i


def message(b):
    """Field number -> list of values: ints, or bytes."""
    out, i = {}, 0
    while i < len(b):
        key, i = varint(b, i)
        if key & 7 == 0:
            v, i = varint(b, i)
        elif key & 7 == 2:
            n, i = varint(b, i)
            v, i = b[i:i + n], i + n
            assert len(v) == n
        else:
            raise AssertionError(f"wire type {key & 7}")
        out.setdefault(key >> 3, []).append(v)
    return out


def packed(values):
    out = []
    for v in values:
        if isinstance(v, int):
            out.append(v)
            continue
        i = 0
        while i < len(v):
            x, i = varint(v, i)
            out.append(x)
    return out


def read_mapping(path):
    """Start, limit, offset, file and build id of the only one."""
    with gzip.open(path) as f:
        p = message(f.read())
    strings = [s.decode() for s in p[6]]
    m, = map(message, p[3])
    return m[2][0], m[3][0], m.get(4, [0])[0], strings[m[5][0]], strings[m[6][0]]


def read_profile(path):
    """Sample types, and samples: stack of (function, line) innermost first, values, labels."""
    with gzip.open(path) as f:
        p = message(f.read())
    strings = [s.decode() for s in p[6]]
    assert strings[0] == ""
    functions = {}
    for f in map(message, p.get(5, [])):
        functions[f[1][0]] = strings[f[2][0]]
    locations = {}
    for loc in map(message, p.get(4, [])):
        lines = [message(l) for l in loc.get(4, [])]
        locations[loc[1][0]] = [(functions[l[1][0]], l.get(2, [0])[0]) for l in lines]
    types = [strings[message(t)[1][0]] for t in p[1]]
    samples = []
    for s in map(message, p.get(2, [])):
        stack = [line for loc in packed(s.get(1, [])) for line in locations[loc]]
        labels = {}
        for l in map(message, s.get(3, [])):
            labels[strings[l[1][0]]] = strings[l[2][0]] if 2 in l else l.get(3, [0])[0]
        samples.append((stack, packed(s[2]), labels))
    return types, samples

# SPDX-License-Identifier: BSD-2-Clause
"""Reports against the JSON Schema that gospect prints, more strictly than the
schema is: a member that it does not describe is an error, too."""
import functools
import json
import subprocess

from jsonschema import Draft202012Validator

from tree import GOSPECT


def schema():
    p = subprocess.run([GOSPECT, "--schema"], capture_output=True, text=True, check=True)
    return json.loads(p.stdout)


@functools.cache
def validator():
    s = schema()
    for definition in s["$defs"].values():
        definition.setdefault("additionalProperties", False)
    return Draft202012Validator(s)


def report(text):
    """The report in a line of JSON, once it is valid."""
    r = json.loads(text)
    for e in validator().iter_errors(r):
        where = "/".join(map(str, e.absolute_path))
        raise AssertionError(f"not as the schema says: {where}: {e.message[:500]}")
    return r

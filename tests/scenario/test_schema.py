"""CF-26: the JSON Schema that `pillion config schema` prints admits a document exactly when the loader has no complaint
about its structure (PIL11xx), but for what CF-26 excepts."""
import copy
import glob
import json
import os
import random

import pytest

from harness.sidecar import ROOT, binary

jsonschema = pytest.importorskip("jsonschema")
SEED = 20260
DOCUMENTS = 400
VALUES = [None, True, False, 0, 1, -1, 7, 65536, 10**12, 1.5, "", "x", "off", "none", "auto", "*", "5s", "0s", "250", "1.5s", "1m30s",
          "64KiB", "64KB", "20%", "0.1%", "100%", "100.5%", "101%", "5/s", "5", "127.0.0.1:80", "127.0.0.1:0080", "256.0.0.1:80", "127.0.0.1:65535", "127.0.0.1:65536", "127.0.0.1", "[::1]:80", ":80", "host:80",
          "host:0", "host:99999", "unix:/x", "unix:x", "10.0.0.0/8", "10.0.0.0/99", "http", "inbound", "Big Name", "a.b-c", "503", "404", "/path",
          [], [1], ["x"], ["5s"], ["/x"], [{}], {}, {"x": 1}, {"x": "y"}, {"name": "x"}]


@pytest.fixture(scope="module")
def validator():
    schema = json.loads(binary("config", "schema").stdout)
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def errors_of(folder, document):
    """[(code, pointer, found)] of the loader."""
    path = os.path.join(str(folder), "document.json")
    with open(path, "w", encoding="utf-8") as file:
        json.dump(document, file)
    done = binary("check", path, "-o", "jsonl")
    assert done.returncode in (0, 78), (done.returncode, done.stderr)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    return [(row["code"], row["pointer"], row.get("found")) for row in rows if row["severity"] == "error"]


def is_excepted(complaint):
    """What CF-26 leaves to the loader: how keys go together, the range of a quantity with a unit, IPv6 text, prefixes."""
    code, pointer, found = complaint
    if found is None:
        return code in ("PIL1102", "PIL1104", "PIL1130")
    if code == "PIL1105":
        return found.startswith('"')
    return code == "PIL1104" and ("[" in found or "/trusted_peers/" in pointer or "/egress/allow/" in pointer)


def compare(folder, validator, document):
    """None, or how the two differ."""
    loader = errors_of(folder, document)
    structure = [row for row in loader if row[0].startswith("PIL11") and not is_excepted(row)]
    errors = sorted(validator.iter_errors(document), key=lambda error: list(map(str, error.path)))
    if structure and not errors:
        return ("only the loader", structure)
    if errors and not loader:
        return ("only the schema", [("/" + "/".join(map(str, error.path)), error.message[:200]) for error in errors])
    return None


def full(name):
    done = binary("config", "show", "-c", os.path.join(ROOT, "docs/examples", name))
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def places(node, path=()):
    yield path
    if isinstance(node, dict):
        for key in node:
            yield from places(node[key], path + (key,))
    elif isinstance(node, list):
        for i, item in enumerate(node):
            yield from places(item, path + (i,))


def parent_of(document, path):
    for step in path[:-1]:
        document = document[step]
    return document


def mutate(document, chance, schema_keys):
    """One change somewhere."""
    path = chance.choice([path for path in places(document) if path])
    parent = parent_of(document, path)
    kind = chance.randrange(5)
    if kind <= 1:
        parent[path[-1]] = copy.deepcopy(chance.choice(VALUES))
    elif kind == 2:
        del parent[path[-1]]
    elif isinstance(parent, dict) and kind == 3:
        parent[chance.choice(schema_keys)] = copy.deepcopy(chance.choice(VALUES))
    elif isinstance(parent, dict):
        parent[chance.choice(["X", "x y", "a" * 300, str(path[-1]) + "s", "*"])] = parent.pop(path[-1])
    elif isinstance(parent, list):
        parent.append(copy.deepcopy(chance.choice(VALUES)))


def keys_of(schema):
    found = set()
    if isinstance(schema, dict):
        for key in schema.get("properties", {}):
            found.add(key)
        for value in schema.values():
            found |= keys_of(value)
    elif isinstance(schema, list):
        for value in schema:
            found |= keys_of(value)
    return found


@pytest.mark.parametrize("name", ["full.json", "broker.json"])
def test_the_examples_are_valid(tmp_path, validator, name):
    document = full(name)
    assert not list(validator.iter_errors(document))
    assert errors_of(tmp_path, document) == []


def test_the_corpus_of_mistakes(tmp_path, validator):
    differing = {}
    for path in sorted(glob.glob(os.path.join(ROOT, "tests/unit/config/bad/*.json"))):
        try:
            with open(path, encoding="utf-8") as file:
                text = file.read()
            document = json.loads(text, object_pairs_hook=once)
        except ValueError:
            continue  # comments, syntax errors, a key twice: no JSON document
        if "${" in text or not isinstance(document, dict):
            continue
        different = compare(tmp_path, validator, document)
        if different:
            differing[os.path.basename(path)] = different
    assert not differing, json.dumps(differing, indent=1)


def once(pairs):
    if len(dict(pairs)) != len(pairs):
        raise ValueError("a key twice")
    return dict(pairs)


def test_mutated_documents(tmp_path, validator):
    """A fixed seed, so that a failure shows again."""
    chance = random.Random(SEED)
    bases = [full("full.json"), full("broker.json")]
    keys = sorted(keys_of(validator.schema))
    invalid, differing = 0, []
    for _ in range(DOCUMENTS):
        document = copy.deepcopy(chance.choice(bases))
        for _ in range(chance.choice([1, 1, 2])):
            mutate(document, chance, keys)
        different = compare(tmp_path, validator, document)
        if different and different[1] not in [row[1] for row in differing]:
            differing.append(different)
        invalid += not validator.is_valid(document)
    assert not differing, "%d: %s" % (len(differing), "\n".join(map(repr, differing[:200])))
    assert DOCUMENTS // 4 < invalid < DOCUMENTS

#!/usr/bin/python3
"""CT-07, CT-08: random schemas and messages through codec-tool, compared with python3-protobuf.

    test_random.py <codec-tool> [seed] [messages]

JSON -> wire -> JSON and wire -> JSON -> wire are compared as parsed messages; so are shuffled,
split and repeated fields. The seed is printed first; a failure names schema, message and bytes.
"""
import json
import math
import random
import subprocess
import sys
import tempfile

from google.protobuf import any_pb2, descriptor_pb2, descriptor_pool, duration_pb2, empty_pb2
from google.protobuf import field_mask_pb2, json_format, message_factory, struct_pb2
from google.protobuf import timestamp_pb2, wrappers_pb2

F = descriptor_pb2.FieldDescriptorProto
SCALARS = [F.TYPE_DOUBLE, F.TYPE_FLOAT, F.TYPE_INT64, F.TYPE_UINT64, F.TYPE_INT32, F.TYPE_FIXED64,
           F.TYPE_FIXED32, F.TYPE_BOOL, F.TYPE_STRING, F.TYPE_BYTES, F.TYPE_UINT32,
           F.TYPE_SFIXED32, F.TYPE_SFIXED64, F.TYPE_SINT32, F.TYPE_SINT64]
KEYS = [F.TYPE_INT64, F.TYPE_UINT64, F.TYPE_INT32, F.TYPE_FIXED64, F.TYPE_FIXED32, F.TYPE_BOOL,
        F.TYPE_STRING, F.TYPE_UINT32, F.TYPE_SFIXED32, F.TYPE_SFIXED64, F.TYPE_SINT32,
        F.TYPE_SINT64]
KNOWN = [timestamp_pb2, duration_pb2, struct_pb2, wrappers_pb2, field_mask_pb2, any_pb2,
         empty_pb2]
WELL_KNOWN = ["Timestamp", "Duration", "Struct", "Value", "ListValue", "FieldMask", "Any", "Empty",
              "DoubleValue", "FloatValue", "Int64Value", "UInt64Value", "Int32Value",
              "UInt32Value", "BoolValue", "StringValue", "BytesValue"]
TEXTS = ["", "a", "plain text", 'quo"te\\', "tab\tnew\nline\x00\x1f", "grün €", "\U0001f600 smile",
         "x" * 15, "y" * 16, "z" * 127, "w" * 128, "é" * 200, "</script>", "\u2028"]


class Schema:
    """One random file of a few messages and enums."""

    def __init__(self, rng, number):
        self.rng = rng
        self.syntax = rng.choice(["proto2", "proto3"])
        self.package = f"t{number}"
        self.file = descriptor_pb2.FileDescriptorProto(
            name=f"t{number}.proto", package=self.package, syntax=self.syntax)
        for module in KNOWN:
            self.file.dependency.append(module.DESCRIPTOR.name)
        self.messages = [f"M{i}" for i in range(rng.randint(1, 4))]
        self.enums = [f"E{i}" for i in range(rng.randint(1, 2))]
        for name in self.enums:
            self.add_enum(name)
        for name in self.messages:
            self.add_message(name)
        if self.syntax == "proto2":
            self.add_extensions()

    def add_enum(self, name):
        enum = self.file.enum_type.add(name=name)
        numbers = [0] + self.rng.sample(range(-5, 200000) if self.rng.random() < .3
                                        else range(1, 12), self.rng.randint(1, 6))
        for i, number in enumerate(dict.fromkeys(numbers)):
            enum.value.add(name=f"{name}_V{i}", number=number)

    def field(self, message, name, number, kind=None):
        rng = self.rng
        field = message.field.add(name=name, number=number, label=F.LABEL_OPTIONAL)
        kind = kind or rng.choice(["scalar"] * 8 + ["enum", "message", "known", "known"])
        if kind == "enum":
            field.type = F.TYPE_ENUM
            field.type_name = f".{self.package}.{rng.choice(self.enums)}"
        elif kind == "message":
            field.type = F.TYPE_MESSAGE
            field.type_name = f".{self.package}.{rng.choice(self.messages)}"
        elif kind == "known":
            field.type = F.TYPE_MESSAGE
            field.type_name = f".google.protobuf.{rng.choice(WELL_KNOWN)}"
        else:
            field.type = rng.choice(SCALARS)
        return field

    def add_map(self, message, name, number):
        entry = message.nested_type.add(name="".join(p.capitalize() for p in name.split("_"))
                                        + "Entry")
        entry.options.map_entry = True
        entry.field.add(name="key", number=1, label=F.LABEL_OPTIONAL,
                        type=self.rng.choice(KEYS))
        self.field(entry, "value", 2)
        message.field.add(name=name, number=number, label=F.LABEL_REPEATED, type=F.TYPE_MESSAGE,
                          type_name=f".{self.package}.{message.name}.{entry.name}")

    def add_group(self, message, name, number):
        inner = message.nested_type.add(name=name.capitalize().replace("_", ""))
        self.field(inner, "inner", 1, "scalar")
        self.field(inner, "more", 2)
        message.field.add(name=inner.name.lower(), number=number,
                          label=self.rng.choice([F.LABEL_OPTIONAL, F.LABEL_REPEATED]),
                          type=F.TYPE_GROUP,
                          type_name=f".{self.package}.{message.name}.{inner.name}")

    def add_message(self, name):
        rng = self.rng
        message = self.file.message_type.add(name=name)
        count = rng.choice([0, 1, 5, 10, 20, 80])
        numbers = rng.sample(range(1, 60), min(count, 50))
        numbers += rng.sample(range(1000, 18000), count - len(numbers))
        oneofs = []
        optionals = []
        for i, number in enumerate(numbers):
            fname = rng.choice(["field_{}", "f{}", "some_longer_field_name_{}", "_x{}"]).format(i)
            shape = rng.random()
            if shape < .12:
                self.add_map(message, fname, number)
            elif shape < .17 and self.syntax == "proto2":
                self.add_group(message, f"grp{i}", number)
            elif shape < .40:
                field = self.field(message, fname, number)
                field.label = F.LABEL_REPEATED
                if field.type not in (F.TYPE_STRING, F.TYPE_BYTES, F.TYPE_MESSAGE) and \
                        rng.random() < .5:
                    field.options.packed = rng.random() < .5
            else:
                field = self.field(message, fname, number)
                if shape < .55:
                    if not oneofs or rng.random() < .3:
                        oneofs.append(len(message.oneof_decl))
                        message.oneof_decl.add(name=f"one_{len(oneofs)}")
                    field.oneof_index = oneofs[-1]
                elif shape < .7 and self.syntax == "proto3":
                    field.proto3_optional = True
                    optionals.append(field)
                if rng.random() < .05:
                    field.json_name = f"json {i}\"\\é"
        for field in optionals:
            field.oneof_index = len(message.oneof_decl)
            message.oneof_decl.add(name=f"_{field.name}")
        if self.syntax == "proto2":
            message.extension_range.add(start=20000, end=21000)

    def add_extensions(self):
        for i in range(self.rng.randint(0, 3)):
            holder = descriptor_pb2.DescriptorProto()
            field = self.field(holder, f"ext_{i}", 20000 + i, self.rng.choice(["scalar", "enum"]))
            field.extendee = f".{self.package}.{self.rng.choice(self.messages)}"
            # No lists, no messages: json_format 3.21 fails on such extensions.
            self.file.extension.add().CopyFrom(field)


class Maker:
    """Fills messages at random."""

    def __init__(self, rng, pool, factory):
        self.rng = rng
        self.pool = pool
        self.factory = factory

    def scalar(self, field):
        rng = self.rng
        kind = field.type
        if kind in (F.TYPE_DOUBLE, F.TYPE_FLOAT):
            value = rng.choice([0.0, 1.5, -1.0, 0.1, 1e21, 1e-7, 123456.789, rng.uniform(-1e9, 1e9),
                                rng.uniform(0, 1), 3.4e38, 1e-45, float("inf"), float("-inf"),
                                rng.randrange(1 << 53) * 10.0 ** rng.randint(-20, 14)])
            return value
        if kind == F.TYPE_BOOL:
            return rng.random() < .5
        if kind == F.TYPE_STRING:
            return rng.choice(TEXTS)
        if kind == F.TYPE_BYTES:
            return rng.randbytes(rng.choice([0, 1, 2, 3, 16, 100, 127, 128]))
        if kind == F.TYPE_ENUM:
            numbers = [v.number for v in field.enum_type.values]
            if field.enum_type.file.syntax == "proto3" and rng.random() < .2:
                return rng.randint(-2**31, 2**31 - 1)
            return rng.choice(numbers)
        bits = 64 if kind in (F.TYPE_INT64, F.TYPE_UINT64, F.TYPE_FIXED64, F.TYPE_SFIXED64,
                              F.TYPE_SINT64) else 32
        unsigned = kind in (F.TYPE_UINT64, F.TYPE_UINT32, F.TYPE_FIXED64, F.TYPE_FIXED32)
        low, high = (0, 2**bits - 1) if unsigned else (-2**(bits - 1), 2**(bits - 1) - 1)
        value = rng.choice([0, 1, low, high, rng.randint(low, high), rng.randint(0, 300)])
        return max(low, min(high, value))

    def value(self, message, depth):
        kind = self.rng.randint(0, 5 if depth > 0 else 3)
        if kind == 0:
            message.null_value = 0
        elif kind == 1:
            message.number_value = self.rng.choice([0, 1.5, -3, 1e300, self.rng.random()])
        elif kind == 2:
            message.string_value = self.rng.choice(TEXTS)
        elif kind == 3:
            message.bool_value = self.rng.random() < .5
        elif kind == 4:
            self.struct(message.struct_value, depth - 1)
            message.struct_value.SetInParent()
        else:
            self.list(message.list_value, depth - 1)
            message.list_value.SetInParent()

    def struct(self, message, depth):
        for _ in range(self.rng.randint(0, 4)):
            self.value(message.fields[self.rng.choice(TEXTS[:7]) + str(self.rng.randint(0, 20))],
                       depth)

    def list(self, message, depth):
        for _ in range(self.rng.randint(0, 3)):
            self.value(message.values.add(), depth)

    def any(self, message, depth):
        if depth <= 0 or self.rng.random() < .1:
            return
        name = self.rng.choice(self.names + ["google.protobuf." + n for n in WELL_KNOWN])
        inner = self.new(name)
        self.fill(inner, depth - 1)
        message.type_url = self.rng.choice(["type.googleapis.com/", "x/"]) + name
        message.value = inner.SerializeToString()

    def new(self, name):
        return self.factory.GetPrototype(self.pool.FindMessageTypeByName(name))()

    def fill(self, message, depth):
        rng = self.rng
        name = message.DESCRIPTOR.full_name
        if name == "google.protobuf.Timestamp":
            message.seconds = rng.choice([0, -62135596800, 253402300799,
                                          rng.randint(-62135596800, 253402300799)])
            message.nanos = rng.choice([0, 1, 120000000, 123456000, 999999999])
        elif name == "google.protobuf.Duration":
            sign = rng.choice([-1, 1])
            message.seconds = sign * rng.choice([0, 1, 315575999999, rng.randint(0, 100000)])
            message.nanos = sign * rng.choice([0, 1, 500000000, 1230, 999999999])
        elif name == "google.protobuf.FieldMask":
            message.paths.extend(rng.sample(["a", "foo_bar", "a.b_c.d", "x1"], rng.randint(0, 3)))
        elif name == "google.protobuf.Value":
            self.value(message, min(depth, 3))
        elif name == "google.protobuf.Struct":
            self.struct(message, min(depth, 3))
        elif name == "google.protobuf.ListValue":
            self.list(message, min(depth, 3))
        elif name == "google.protobuf.Any":
            self.any(message, depth)
        else:
            self.fill_fields(message, depth)

    def fill_fields(self, message, depth):
        rng = self.rng
        fields = list(message.DESCRIPTOR.fields)
        fields += self.pool.FindAllExtensions(message.DESCRIPTOR)
        for field in fields:
            if rng.random() < .35:
                continue
            if field.message_type and depth <= 0:
                if field.message_type.full_name == "google.protobuf.Value" and \
                        field.label != F.LABEL_REPEATED and not field.is_extension:
                    pass
                continue
            if field.is_extension:
                self.fill_extension(message, field)
            elif field.label == F.LABEL_REPEATED:
                self.fill_repeated(message, field, depth)
            elif field.message_type:
                inner = getattr(message, field.name)
                inner.SetInParent()
                self.fill(inner, depth - 1)
            else:
                setattr(message, field.name, self.scalar(field))

    def fill_extension(self, message, field):
        message.Extensions[field] = self.scalar(field)

    def fill_repeated(self, message, field, depth):
        target = getattr(message, field.name)
        count = self.rng.choice([0, 1, 2, 5, 40])
        entry = field.message_type
        if entry and entry.GetOptions().map_entry:
            key, value = entry.fields_by_name["key"], entry.fields_by_name["value"]
            for _ in range(min(count, 12)):
                if value.message_type:
                    self.fill(target[self.scalar(key)], depth - 1)
                else:
                    target[self.scalar(key)] = self.scalar(value)
        elif entry:
            for _ in range(min(count, 3)):
                self.fill(target.add(), depth - 1)
        else:
            target.extend(self.scalar(field) for _ in range(count))


class Tool:
    def __init__(self, path):
        self.process = subprocess.Popen([path], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True)

    def ask(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline().rstrip("\n")
        if not answer:
            raise AssertionError(f"the tool died on: {line[:2000]}")
        return answer

    def translate(self, verb, name, data, options="-"):
        answer = self.ask(f"{verb} {name} {options} {data.hex()}")
        if not answer.startswith("ok "):
            raise AssertionError(f"{verb} {name} {data!r}\n-> {answer}")
        return bytes.fromhex(answer[3:])


def split_fields(data):
    """The top-level fields of a message, as bytes."""
    parts, at = [], 0

    def varint(at):
        value = shift = 0
        while True:
            byte = data[at]
            value |= (byte & 127) << shift
            shift += 7
            at += 1
            if byte < 128:
                return value, at

    def skip(at, tag):
        kind = tag & 7
        if kind == 0:
            return varint(at)[1]
        if kind == 1:
            return at + 8
        if kind == 5:
            return at + 4
        if kind == 2:
            size, at = varint(at)
            return at + size
        while True:
            inner, at = varint(at)
            if inner & 7 == 4:
                return at
            at = skip(at, inner)

    while at < len(data):
        start = at
        tag, at = varint(at)
        at = skip(at, tag)
        parts.append(data[start:at])
    return parts


def alike(a, b):
    """Equal JSON trees; json_format 3.21 prints some floats with more digits than they need."""
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(alike(a[k], b[k]) for k in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(alike, a, b))
    if isinstance(a, (int, float)) and isinstance(b, (int, float)) and \
            isinstance(a, bool) == isinstance(b, bool):
        return math.isclose(a, b, rel_tol=1e-6, abs_tol=2e-45)
    return a == b


class Comparison:
    def __init__(self, tool, pool, maker):
        self.tool, self.pool, self.maker = tool, pool, maker

    def same(self, name, left, right, what):
        a, b = self.maker.new(name), self.maker.new(name)
        a.ParseFromString(left)
        b.ParseFromString(right)
        if a.SerializeToString(deterministic=True) == b.SerializeToString(deterministic=True):
            return
        # Maps inside of an Any come in any order; their JSON forms do not.
        if json.loads(self.as_python(a)) != json.loads(self.as_python(b)):
            raise AssertionError(f"{what}: {name}\n{a}\n---\n{b}\n{left.hex()}\n{right.hex()}")

    def as_python(self, message, **options):
        return json_format.MessageToJson(message, descriptor_pool=self.pool, indent=None, **options)

    def check(self, name, message, wire):
        """wire: any bytes that parse to the message."""
        text = self.tool.translate("W", name, wire)
        expected = self.as_python(message)
        if not alike(json.loads(text), json.loads(expected)):
            raise AssertionError(f"{name} {wire.hex()}\n{text.decode()}\n{expected}")
        back = self.maker.new(name)
        json_format.Parse(text, back, descriptor_pool=self.pool)
        self.same(name, back.SerializeToString(), message.SerializeToString(), "wire->JSON")
        again = self.tool.translate("J", name, text)
        self.same(name, again, message.SerializeToString(), "wire->JSON->wire")
        if json.loads(self.tool.translate("W", name, again)) != json.loads(text):
            raise AssertionError(f"JSON->wire->JSON: {name} {text}")

    def check_json(self, name, message):
        for options in ({}, {"preserving_proto_field_name": True}, {"use_integers_for_enums": True},
                        {"including_default_value_fields": True}):
            if options.get("including_default_value_fields") and \
                    message.DESCRIPTOR.file.syntax == "proto2":
                continue  # Python invents values that have presence there
            text = self.as_python(message, **options)
            if self.maker.rng.random() < .5:
                text = json.dumps(json.loads(text), ensure_ascii=self.maker.rng.random() < .5,
                                  indent=self.maker.rng.choice([None, 2]))
            wire = self.tool.translate("J", name, text.encode())
            self.same(name, wire, message.SerializeToString(), f"JSON->wire {options} {text}")
        defaults = self.tool.translate("W", name, message.SerializeToString(), "emit_defaults")
        back = self.maker.new(name)
        json_format.Parse(defaults, back, descriptor_pool=self.pool)
        self.same(name, back.SerializeToString(), message.SerializeToString(), "emit_defaults")

    def check_mixed(self, name, one, two):
        """Fields shuffled, two messages one behind the other: what a parser would hold."""
        rng = self.maker.rng
        both = one.SerializeToString() + two.SerializeToString()
        parts = split_fields(both)
        rng.shuffle(parts)
        for wire in (both, b"".join(parts)):
            merged = self.maker.new(name)
            merged.ParseFromString(wire)
            try:
                self.as_python(merged)
            except Exception:
                continue  # a merge of two times may lie outside the range
            self.check(name, merged, wire)


def run(tool, seed, messages):
    rng = random.Random(seed)
    done = schemas = 0
    while done < messages:
        schema = Schema(rng, schemas)
        schemas += 1
        pool = descriptor_pool.DescriptorPool()
        whole = descriptor_pb2.FileDescriptorSet()
        for module in KNOWN:
            file = whole.file.add()
            file.ParseFromString(module.DESCRIPTOR.serialized_pb)
            pool.Add(file)
        try:
            pool.Add(schema.file)
            pool.FindFileByName(schema.file.name)
        except TypeError:
            continue  # a random clash of names
        whole.file.add().CopyFrom(schema.file)
        files = list(whole.file)
        rng.shuffle(files)
        whole = descriptor_pb2.FileDescriptorSet(file=files)
        maker = Maker(rng, pool, message_factory.MessageFactory(pool))
        maker.names = [f"{schema.package}.{n}" for n in schema.messages]
        with tempfile.NamedTemporaryFile(suffix=".bin") as stored:
            stored.write(whole.SerializeToString())
            stored.flush()
            answer = tool.ask(f"S {stored.name}")
        if answer != "ok ":
            raise AssertionError(f"schema {schema.file}: {answer}")
        comparison = Comparison(tool, pool, maker)
        for name in maker.names:
            one, two = maker.new(name), maker.new(name)
            maker.fill(one, rng.choice([1, 2, 3]))
            maker.fill(two, rng.choice([0, 1, 2]))
            try:
                comparison.as_python(one)
                comparison.as_python(two)
            except Exception:
                continue  # such as an Any of a Value without a kind
            comparison.check(name, one, one.SerializeToString())
            comparison.check_json(name, one)
            comparison.check_mixed(name, one, two)
            done += 1
    print(f"{done} messages of {schemas} schemas agree")


def main():
    seed = int(sys.argv[2]) if len(sys.argv) > 2 and sys.argv[2] != "-" else \
        random.SystemRandom().randrange(1 << 32)
    messages = int(sys.argv[3]) if len(sys.argv) > 3 else 300
    print(f"seed {seed}", flush=True)
    run(Tool(sys.argv[1]), seed, messages)


main()

#!/usr/bin/python3
"""Writes schema.inc: the files of this folder as one FileDescriptorSet, without what is built in.

    /usr/bin/python3 tests/unit/codec/schema/make_schema.py

Needs protoc and python3-protobuf. The imports come from python3-protobuf, so that no headers of
libprotobuf have to be there.
"""
import importlib
import pathlib
import subprocess
import tempfile

from google.protobuf import descriptor_pb2

HERE = pathlib.Path(__file__).resolve().parent
KNOWN = ["any", "duration", "empty", "field_mask", "struct", "timestamp", "wrappers"]


def main():
    known = descriptor_pb2.FileDescriptorSet()
    for name in KNOWN:
        module = importlib.import_module(f"google.protobuf.{name}_pb2")
        known.file.add().ParseFromString(module.DESCRIPTOR.serialized_pb)
    with tempfile.TemporaryDirectory() as folder:
        given = pathlib.Path(folder, "known.bin")
        given.write_bytes(known.SerializeToString())
        made = pathlib.Path(folder, "made.bin")
        subprocess.run(["protoc", f"-I{HERE}", f"--descriptor_set_in={given}",
                        f"--descriptor_set_out={made}", "order.proto", "all3.proto",
                        "all2.proto"], check=True, cwd=HERE)
        data = made.read_bytes()
    lines = ["/* Made by make_schema.py: a FileDescriptorSet. */"]
    for at in range(0, len(data), 18):
        lines.append("\t" + "".join(f"0x{b:02x}," for b in data[at:at + 18]))
    HERE.joinpath("schema.inc").write_text("\n".join(lines) + "\n")


main()

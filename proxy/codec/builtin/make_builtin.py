#!/usr/bin/python3
"""Writes descriptor_builtin.inc: the serialized FileDescriptorSet of the built-in files.

Needs protoc and python3-protobuf; run by hand when a .proto beside this file changes:
    /usr/bin/python3 proxy/codec/builtin/make_builtin.py
"""
import importlib
import pathlib
import subprocess
import tempfile

from google.protobuf import descriptor_pb2

HERE = pathlib.Path(__file__).resolve().parent
WELL_KNOWN = ["any", "api", "descriptor", "duration", "empty", "field_mask", "source_context",
              "struct", "timestamp", "type", "wrappers"]
OWN = ["google/rpc/code.proto", "google/rpc/status.proto", "google/rpc/error_details.proto",
       "google/api/http.proto", "google/api/annotations.proto", "google/api/httpbody.proto"]


def main():
    whole = descriptor_pb2.FileDescriptorSet()
    for name in WELL_KNOWN:
        module = importlib.import_module(f"google.protobuf.{name}_pb2")
        whole.file.add().ParseFromString(module.DESCRIPTOR.serialized_pb)
    with tempfile.TemporaryDirectory() as folder:
        known = pathlib.Path(folder, "known.bin")
        known.write_bytes(whole.SerializeToString())
        made = pathlib.Path(folder, "made.bin")
        subprocess.run(["protoc", f"-I{HERE}", f"--descriptor_set_in={known}",
                        f"--descriptor_set_out={made}", *OWN], check=True, cwd=HERE)
        own = descriptor_pb2.FileDescriptorSet.FromString(made.read_bytes())
    for file in own.file:
        file.ClearField("source_code_info")
        whole.file.add().CopyFrom(file)
    for file in whole.file:
        # Options of code generators say nothing about the schema.
        if file.name != "google/protobuf/descriptor.proto":
            file.ClearField("options")
    data = whole.SerializeToString()
    lines = ["/* Made by builtin/make_builtin.py: a FileDescriptorSet. */"]
    for at in range(0, len(data), 18):
        lines.append("\t" + "".join(f"0x{b:02x}," for b in data[at:at + 18]))
    (HERE.parent / "descriptor_builtin.inc").write_text("\n".join(lines) + "\n")


main()

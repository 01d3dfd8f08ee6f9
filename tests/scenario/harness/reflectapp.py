#!/usr/bin/python3
"""A gRPC application made from a .proto file, with reflection: every unary method answers with the
fields of its request that its answer has too; a field `fail` ends the call with that status code."""
import argparse
import os
import subprocess
import sys
import tempfile
from concurrent import futures

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory

HERE = os.path.dirname(os.path.abspath(__file__))
REFLECTION = os.path.join(HERE, "..", "..", "..", "docker", "demo", "schema")


def compile_set(*files, folder):
    target = os.path.join(tempfile.mkdtemp(prefix="reflectapp-"), "set.pb")
    subprocess.run(["protoc", "-I", folder, "-I", REFLECTION, "-I", "/usr/include", "--include_imports",
                    "--descriptor_set_out", target] + list(files), check=True)
    with open(target, "rb") as file:
        return descriptor_pb2.FileDescriptorSet.FromString(file.read())


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--proto", required=True)
    arguments = parser.parse_args()
    files = compile_set(os.path.basename(arguments.proto), "reflection.proto",
                        folder=os.path.dirname(os.path.abspath(arguments.proto)))
    pool = descriptor_pool.DescriptorPool()
    for one in files.file:
        pool.Add(one)
    factory = message_factory.MessageFactory(pool)
    services = []

    def unary(method):
        request_type = factory.GetPrototype(method.input_type)
        answer_type = factory.GetPrototype(method.output_type)

        def call(request, context):
            if "fail" in method.input_type.fields_by_name and request.fail:
                code = [one for one in grpc.StatusCode if one.value[0] == request.fail][0]
                context.abort(code, "as asked: %d" % request.fail)
            fields = json_format.MessageToDict(request, preserving_proto_field_name=True, descriptor_pool=pool)
            return json_format.ParseDict(fields, answer_type(), ignore_unknown_fields=True, descriptor_pool=pool)
        return grpc.unary_unary_rpc_method_handler(call, request_deserializer=request_type.FromString,
                                                   response_serializer=answer_type.SerializeToString)
    handlers = []
    for one in files.file:
        for service in one.service:
            full = "%s.%s" % (one.package, service.name) if one.package else service.name
            if full.startswith("grpc.reflection"):
                continue
            services.append(full)
            methods = pool.FindServiceByName(full).methods
            handlers.append(grpc.method_handlers_generic_handler(full, {m.name: unary(m) for m in methods}))
    reflection = pool.FindServiceByName("grpc.reflection.v1.ServerReflection").methods[0]
    asked_type = factory.GetPrototype(reflection.input_type)
    told_type = factory.GetPrototype(reflection.output_type)

    def describe(requests, context):
        for request in requests:
            answer = told_type(original_request=request)
            kind = request.WhichOneof("message_request")
            try:
                if kind == "list_services":
                    for name in services + ["grpc.reflection.v1.ServerReflection"]:
                        answer.list_services_response.service.add().name = name
                else:
                    found = (pool.FindFileByName(request.file_by_filename) if kind == "file_by_filename"
                             else pool.FindFileContainingSymbol(request.file_containing_symbol))
                    answer.file_descriptor_response.file_descriptor_proto.append(found.serialized_pb)
            except KeyError:
                answer.error_response.error_code = 5
                answer.error_response.error_message = "not found"
            yield answer
    handlers.append(grpc.method_handlers_generic_handler("grpc.reflection.v1.ServerReflection", {
        "ServerReflectionInfo": grpc.stream_stream_rpc_method_handler(
            describe, request_deserializer=asked_type.FromString, response_serializer=told_type.SerializeToString)}))
    server = grpc.server(futures.ThreadPoolExecutor(16), options=[("grpc.so_reuseport", 0)])
    server.add_generic_rpc_handlers(tuple(handlers))
    if server.add_insecure_port("127.0.0.1:%d" % arguments.port) == 0:
        sys.exit("the port is taken")
    server.start()
    server.wait_for_termination()


if __name__ == "__main__":
    main()

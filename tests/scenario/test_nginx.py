"""nginx, unchanged, on either side."""
import os
import shutil
import subprocess
import threading

import pytest

from harness import client
from harness.ports import free_port, is_free
from harness.waits import wait_for

CONFIG = """
daemon off; worker_processes 1; pid %(folder)s/nginx.pid; error_log %(folder)s/error.log warn;
events { worker_connections 1024; }
http {
  access_log %(folder)s/access.log; keepalive_timeout %(keepalive)s; default_type text/plain;
  client_body_temp_path %(folder)s/body; proxy_temp_path %(folder)s/proxy; fastcgi_temp_path %(folder)s/f;
  uwsgi_temp_path %(folder)s/u; scgi_temp_path %(folder)s/s; client_max_body_size 64m;
  upstream mesh { server 127.0.0.1:%(outbound)d; keepalive 8; }
  server {
    listen 127.0.0.1:%(port)d; root %(folder)s/www; gzip on; gzip_min_length 100; gzip_proxied any; gzip_types text/plain;
    location / { }
    location /empty { return 204; }
    location /gone { return 301 http://elsewhere/; }
    location /through/ { proxy_pass http://mesh/; proxy_http_version 1.1; proxy_set_header Host orders;
                         proxy_set_header Connection ""; }
    location /old/ { proxy_pass http://mesh/; proxy_set_header Host orders; }
  }
}
"""


class Nginx:
    def __init__(self, folder, outbound=1, keepalive="65s"):
        self.folder = folder
        self.port = free_port()
        os.makedirs(os.path.join(folder, "www"))
        os.chmod(folder, 0o755)
        with open(os.path.join(folder, "www", "page.txt"), "w", encoding="ascii") as file:
            file.write("page\n" * 100)
        with open(os.path.join(folder, "www", "large.bin"), "wb") as file:
            file.write(os.urandom(4096) * 1024)
        self.config = os.path.join(folder, "nginx.conf")
        with open(self.config, "w", encoding="ascii") as file:
            file.write("user root;" + CONFIG % {"folder": folder, "port": self.port, "outbound": outbound,
                                                "keepalive": keepalive})
        self.process = subprocess.Popen(["nginx", "-c", self.config, "-p", folder], stderr=subprocess.DEVNULL)
        wait_for(lambda: not is_free(self.port) and client.request(self.port, "/page.txt").status == 200, "nginx serves")

    def stop(self):
        self.process.terminate()
        self.process.wait(30)


@pytest.fixture(scope="module", autouse=True)
def needs_nginx():
    if not shutil.which("nginx"):
        pytest.skip("nginx is not installed")


@pytest.fixture
def nginx(mesh):
    def make(**more):
        one = Nginx(mesh.path("nginx-%d" % len(mesh.origins)), **more)
        mesh.origins.append(one)
        return one
    return make


def test_nginx_as_the_application(mesh, nginx):
    origin = nginx()
    front, _ = mesh.pair(origin.port, service="pages")
    with open(os.path.join(origin.folder, "www", "large.bin"), "rb") as file:
        large = file.read()
    for _ in range(3):
        assert client.request(front.outbound, "/page.txt", host="pages").body == b"page\n" * 100
        assert client.request(front.outbound, "/large.bin", host="pages").body == large
    ranged = client.request(front.outbound, "/large.bin", host="pages", fields=[("Range", "bytes=5-9")])
    assert ranged.status == 206 and ranged.body == large[5:10]
    zipped = client.request(front.outbound, "/page.txt", host="pages", fields=[("Accept-Encoding", "gzip")])
    assert zipped.field("content-encoding") == "gzip"
    head = client.request(front.outbound, "/large.bin", "HEAD", "pages")
    assert int(head.field("content-length")) == len(large) and head.body == b""
    etag = client.request(front.outbound, "/page.txt", host="pages").field("etag")
    assert client.request(front.outbound, "/page.txt", host="pages", fields=[("If-None-Match", etag)]).status == 304
    assert client.request(front.outbound, "/empty", host="pages").status == 204
    assert client.request(front.outbound, "/gone", host="pages").field("location") == "http://elsewhere/"
    assert client.request(front.outbound, "/missing", host="pages").status == 404


def test_nginx_that_closes_idle_connections(mesh, nginx):
    """keepalive_timeout 0: every connection ends after its answer."""
    origin = nginx(keepalive="0")
    sidecar = mesh.bare(origin.port, service="pages")
    for _ in range(100):
        assert client.request(sidecar.outbound, "/page.txt", host="pages").status == 200


def test_nginx_in_front(mesh, nginx):
    app = mesh.app(name="orders")
    sidecar = mesh.bare(app.port)
    front = nginx(outbound=sidecar.outbound)
    for path in ("/through/a", "/old/a"):
        for i in range(50):
            answer = client.request(front.port, path, "POST", body=b"b" * i)
            assert answer.status == 200 and answer.json()["length"] == i and answer.json()["path"] == "/a"
    answer = client.request(front.port, "/through/chunks/100")
    assert answer.body == b"".join(b"chunk %d\n" % i for i in range(100))
    assert client.request(front.port, "/old/bytes/3000000").body == b"x" * 3000000
    assert client.request(front.port, "/through/up", "PUT", body=b"u" * 2000000).json()["length"] == 2000000


def test_nginx_reloads_under_load(mesh, nginx):
    """Its old workers finish and close: no request of ours fails."""
    origin = nginx()
    sidecar = mesh.bare(origin.port, service="pages")
    failed, done, stop = [], [0], threading.Event()

    def load():
        while not stop.is_set():
            answer = client.request(sidecar.outbound, "/page.txt", host="pages")
            done[0] += 1
            if answer.status != 200:
                failed.append(answer)
    threads = [threading.Thread(target=load) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(5):
        before = done[0]
        origin.process.send_signal(1)
        wait_for(lambda: done[0] > before + 60, "calls go on")
    stop.set()
    for thread in threads:
        thread.join()
    assert failed == [] and done[0] > 300

# SPDX-License-Identifier: BSD-2-Clause
"""Real Go programs, healthy: where each comes from, how it is started in a folder
of its own on ports of 127.0.0.1, and what keeps it busy by its own API.

Debian's packages are unpacked, never installed.  They are of one Go release, so
some come by npm (older ones by older releases of Go) and by Go's module proxy, too."""
import contextlib
import glob
import http.client
import itertools
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.dirname(HERE), os.path.join(os.path.dirname(HERE), "e2e"), HERE]
from harness import listening_port, wait_until  # noqa: E402
from tree import TOP  # noqa: E402

FETCHED = os.path.join(TOP, "build", "real")


class Missing(Exception):
    """It cannot be had here."""


def run(argv, what, **kw):
    try:
        p = subprocess.run(argv, capture_output=True, text=True, stdin=subprocess.DEVNULL, **kw)
    except OSError as e:
        raise Missing(f"{what}: {e}") from e
    if p.returncode:
        raise Missing(f"{what}: {(p.stderr.strip().splitlines() or ['failed'])[-1]}")
    return p.stdout


# --- where they come from ------------------------------------------------------

def debian(package, path):
    folder = os.path.join(FETCHED, "debian", package)
    target = os.path.join(folder, path)
    if not os.path.exists(target):
        os.makedirs(folder, exist_ok=True)
        run(["apt-get", "-q", "download", package], f"apt-get download {package}", cwd=folder)
        for deb in glob.glob(os.path.join(folder, "*.deb")):
            run(["dpkg", "-x", deb, folder], f"dpkg -x {os.path.basename(deb)}")
            os.unlink(deb)
        if not os.path.exists(target):
            raise Missing(f"{package} has no {path}")
    return target


def npm(package, path):
    folder = os.path.join(FETCHED, "npm", package.replace("/", "-"))
    target = os.path.join(folder, "package", path)
    if not os.path.exists(target):
        os.makedirs(folder, exist_ok=True)
        run(["npm", "pack", "--silent", package], f"npm pack {package}", cwd=folder)
        for archive in glob.glob(os.path.join(folder, "*.tgz")):
            run(["tar", "-xzf", archive, "-C", folder], f"tar -x {os.path.basename(archive)}")
            os.unlink(archive)
    return target


def module(package, version):
    """Built in a module of our own: `go install` refuses those with a replace directive."""
    name = f"{package.replace('/', '-')}@{version}"
    folder = os.path.join(FETCHED, "go", name)
    target = os.path.join(folder, "program")
    if not os.path.exists(target):
        os.makedirs(folder, exist_ok=True)
        if not os.path.exists(os.path.join(folder, "go.mod")):
            run(["go", "mod", "init", "real"], "go mod init", cwd=folder)
        run(["go", "get", f"{package}@{version}"], f"go get {package}@{version}", cwd=folder)
        run(["nice", "go", "build", "-p", "2", "-ldflags=-s -w", "-o", target + ".new", package],
            f"go build {package}", cwd=folder)
        os.rename(target + ".new", target)
    return target


# --- what they have in common --------------------------------------------------

def free_port():
    with contextlib.closing(socket.socket()) as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def write(folder, name, text):
    path = os.path.join(folder, name)
    with open(path, "w") as f:
        f.write(text)
    return path


class Real:
    """One program, started; clients() are functions that are called again and again,
    each in a thread of its own, until the end."""
    port = 0
    in_a_second = 100	# calls of one client, at most: busy, not overloaded

    def __init__(self, binary, folder):
        self.binary, self.folder = binary, folder
        self.calls, self.trouble = 0, []
        self.ending = threading.Event()
        self.threads, self.idle = [], []
        self.log = open(os.path.join(folder, "output"), "w")
        self.start()
        try:
            wait_until(self.answers, "its answer")
        except BaseException:
            self.stop()
            raise

    def spawn(self, *args, env=None):
        """Its standard input stays open: esbuild ends with it."""
        self.p = subprocess.Popen([self.binary, *args], cwd=self.folder, stdin=subprocess.PIPE, stdout=self.log,
                                  stderr=self.log, env={**os.environ, "HOME": self.folder, **(env or {})})

    def answers(self):
        if self.p.poll() is not None:
            with open(self.log.name) as f:
                raise Missing(f"it ended with {self.p.returncode}: {f.read()[-400:]}")
        try:
            return self.ready()
        except (OSError, http.client.HTTPException):
            return False

    def ready(self):
        return self.http("GET", self.page)

    def http(self, method, path, body=None, headers=None, connection=None):
        """Whether it says 2xx; on a connection of its own unless one is given."""
        c = connection or http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            c.request(method, path, body, headers or {})
            r = c.getresponse()
            r.read()
            return 200 <= r.status < 300
        finally:
            if not connection:
                c.close()

    def kept(self, *requests):
        """A client that sends these in turn on one connection."""
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        turn = itertools.cycle(requests)
        return lambda: self.http(*next(turn), connection=c)

    def load(self):
        """Ten connections that have sent nothing, and the clients."""
        if self.port:
            self.idle = [socket.create_connection(("127.0.0.1", self.port)) for _ in range(10)]
        for client in self.clients():
            t = threading.Thread(target=self.again, args=(client,), daemon=True)
            t.start()
            self.threads.append(t)

    def again(self, client):
        while not self.ending.wait(1 / self.in_a_second):
            try:
                ok = client()
            except Exception as e:		# of any kind: it is told, and the run fails
                ok = False
                self.trouble.append(repr(e))
            self.calls += 1
            if not ok and not self.ending.is_set():
                self.trouble.append("no success")
                return

    def stop(self):
        self.ending.set()
        for t in self.threads:
            t.join(30)
        for s in self.idle:
            s.close()
        self.p.kill()
        self.p.wait()
        self.p.stdin.close()
        self.log.close()


# --- the programs --------------------------------------------------------------

class Caddy(Real):
    page = "/page.html"

    def start(self):
        write(self.folder, "page.html", "x" * 100000)
        self.port = free_port()
        conf = write(self.folder, "Caddyfile",
                     "{\n admin off\n auto_https off\n}\n"
                     f"http://:{self.port} {{\n bind 127.0.0.1\n root * {self.folder}\n encode gzip\n"
                     " file_server\n}\n")
        self.spawn("run", "--config", conf, "--adapter", "caddyfile", env={"XDG_DATA_HOME": self.folder})

    def clients(self):
        gz = ("GET", self.page, None, {"Accept-Encoding": "gzip"})
        return [lambda: self.http("GET", self.page), self.kept(("GET", self.page), gz), self.kept(gz)]


class Prometheus(Real):
    page = "/-/ready"

    def start(self):
        self.port = free_port()
        conf = write(self.folder, "prometheus.yml",
                     "global:\n  scrape_interval: 1s\n  evaluation_interval: 1s\nscrape_configs:\n"
                     f"- job_name: self\n  static_configs:\n  - targets: ['127.0.0.1:{self.port}']\n")
        self.spawn(f"--config.file={conf}", f"--storage.tsdb.path={self.folder}/data",
                   f"--web.listen-address=127.0.0.1:{self.port}")

    def clients(self):
        query = "/api/v1/query?query=sum(rate(prometheus_http_requests_total%5B1m%5D))by(handler)"
        return [lambda: self.http("GET", "/metrics"), self.kept(("GET", query), ("GET", "/api/v1/targets")),
                self.kept(("GET", "/api/v1/series?match[]=up"), ("GET", query))]


class Etcd(Real):
    def start(self):
        self.port, peer = free_port(), free_port()
        url = f"http://127.0.0.1:{self.port}"
        self.spawn("--data-dir", f"{self.folder}/data", "--listen-client-urls", url, "--advertise-client-urls", url,
                   "--listen-peer-urls", f"http://127.0.0.1:{peer}", "--initial-advertise-peer-urls",
                   f"http://127.0.0.1:{peer}", "--initial-cluster", f"default=http://127.0.0.1:{peer}")

    PUT = ("POST", "/v3/kv/put", '{"key": "Zm9v", "value": "YmFy"}')
    RANGE = ("POST", "/v3/kv/range", '{"key": "Zm9v"}')

    def ready(self):
        return self.http(*self.PUT)

    def watch(self):
        """A client that watches the key: each call waits for one change."""
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        c.request("POST", "/v3/watch", '{"create_request": {"key": "Zm9v"}}')
        return c.getresponse()

    def clients(self):
        r = self.watch()
        return [self.kept(self.PUT, self.RANGE), self.kept(self.RANGE), lambda: self.http(*self.RANGE),
                lambda: bool(r.readline())]


class Nats(Real):
    def start(self):
        self.port = free_port()
        self.spawn("-a", "127.0.0.1", "-p", str(self.port), "-js", "-sd", f"{self.folder}/data")

    def connect(self):
        s = socket.create_connection(("127.0.0.1", self.port), timeout=30)
        f = s.makefile("rwb")
        ok = f.readline().startswith(b"INFO")
        f.write(b'CONNECT {"verbose":false,"pedantic":false}\r\nPING\r\n')
        f.flush()
        return s, f, ok and f.readline().startswith(b"PONG")

    def ready(self):
        s, f, ok = self.connect()
        f.close()
        s.close()
        return ok

    def clients(self):
        _, f, _ = self.connect()
        f.write(b"SUB a.b 1\r\n")

        def echo():
            f.write(b"PUB a.b 5\r\nhello\r\n" * 20)
            f.flush()
            got = 0
            while got < 20:
                got += f.readline() == b"hello\r\n"
            if not self.calls % 100:
                f.write(b"PING\r\n")
            return True

        def arrive():
            """A few more clients every second, who stay and say nothing, at first."""
            if len(self.idle) < 55 and self.calls % 20 == 0:
                self.idle.append(socket.create_connection(("127.0.0.1", self.port)))
            return True
        return [echo, self.ready, arrive]


class Syncthing(Real):
    KEY = {"X-API-Key": "key"}
    in_a_second = 10

    def start(self):
        run([self.binary, "generate", f"--home={self.folder}/home", "--no-default-folder"], "syncthing generate",
            env={**os.environ, "HOME": self.folder})
        self.port = free_port()
        with open(os.path.join(self.folder, "home", "config.xml")) as f:
            conf = f.read()
        for option, value in (("listenAddress", "tcp://127.0.0.1:0"), ("globalAnnounceEnabled", "false"),
                              ("localAnnounceEnabled", "false"), ("relaysEnabled", "false"), ("natEnabled", "false"),
                              ("urAccepted", "-1"), ("crashReportingEnabled", "false"), ("autoUpgradeIntervalH", "0")):
            conf = re.sub(rf"<{option}>[^<]*<", f"<{option}>{value}<", conf)
        os.mkdir(os.path.join(self.folder, "shared"))
        self.touch(0)
        write(os.path.join(self.folder, "home"), "config.xml", conf)
        # without a second process that starts it again
        self.spawn("serve", "--no-browser", f"--home={self.folder}/home", f"--gui-address=127.0.0.1:{self.port}",
                   "--gui-apikey=key", env={"STMONITORED": "yes", "STNOUPGRADE": "1"})

    def touch(self, n):
        write(os.path.join(self.folder, "shared"), f"file{n % 50}", str(n) * 10000)

    def ready(self):
        return self.http("GET", "/rest/system/ping", None, self.KEY)

    def load(self):
        body = json.dumps({"id": "shared", "path": f"{self.folder}/shared", "fsWatcherEnabled": True})
        if not self.http("PUT", "/rest/config/folders/shared", body, self.KEY):
            self.trouble.append("no folder")
        super().load()

    def scan(self):
        self.touch(self.calls)
        return self.http("POST", "/rest/db/scan?folder=shared", None, self.KEY)

    def clients(self):
        return [self.scan, self.kept(("GET", "/rest/system/status", None, self.KEY),
                                     ("GET", "/rest/db/status?folder=shared", None, self.KEY)),
                lambda: self.http("GET", "/rest/events?since=0&limit=10&timeout=1", None, self.KEY)]


class Influx(Real):
    page = "/ping"

    def start(self):
        self.port, rpc = free_port(), free_port()
        conf = write(self.folder, "influxdb.conf",
                     f'reporting-disabled = true\nbind-address = "127.0.0.1:{rpc}"\n'
                     f'[meta]\ndir = "{self.folder}/meta"\n'
                     f'[data]\ndir = "{self.folder}/data"\nwal-dir = "{self.folder}/wal"\n'
                     f'[http]\nbind-address = "127.0.0.1:{self.port}"\nlog-enabled = false\n')
        self.spawn("run", "-config", conf)

    def load(self):
        self.http("POST", "/query?q=CREATE%20DATABASE%20db")
        super().load()

    def point(self):
        return self.http("POST", "/write?db=db", f"m,host=h{self.calls % 50} value={self.calls}i\n" * 20)

    def clients(self):
        query = ("GET", "/query?db=db&q=SELECT%20mean(value)%20FROM%20m%20GROUP%20BY%20host")
        return [self.point, self.kept(query), lambda: self.http(*query)]


class Containerd(Real):
    in_a_second = 2

    def start(self):
        conf = write(self.folder, "config.toml",
                     f'version = 2\nroot = "{self.folder}/root"\nstate = "{self.folder}/state"\n'
                     'disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.internal.v1.opt"]\n'
                     f'[grpc]\naddress = "{self.folder}/sock"\n[ttrpc]\naddress = "{self.folder}/ttrpc"\n')
        self.spawn("-c", conf)

    def ctr(self, *args):
        ctr = debian("containerd", "usr/bin/ctr")
        return subprocess.run([ctr, "-a", f"{self.folder}/sock", *args], stdin=subprocess.DEVNULL,
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=60).returncode == 0

    def ready(self):
        return self.ctr("version")

    def clients(self):
        return [lambda: self.ctr("version"), lambda: self.ctr("plugins", "ls"), lambda: self.ctr("images", "ls"),
                lambda: self.ctr("content", "ls") and self.ctr("namespaces", "ls")]


class EsbuildServe(Real):
    page = "/out.js"
    mode = ()

    def start(self):
        self.port = free_port()
        os.mkdir(os.path.join(self.folder, "www"))
        for i in range(50):
            write(self.folder, f"part{i}.ts", f"export const v{i}: number = {i}; export class C{i} {{ a = v{i} }}\n")
        self.touch(0)
        self.spawn("app.ts", "--bundle", "--outfile=www/out.js", *(self.mode or (
            f"--serve=127.0.0.1:{self.port}", "--servedir=www")))

    def touch(self, n):
        write(self.folder, "app.ts", "".join(f"import {{ C{i} }} from './part{i}'\n" for i in range(50)) +
              f"console.log({n}, {', '.join(f'new C{i}()' for i in range(50))})\n")
        return True

    def clients(self):
        return [lambda: self.http("GET", self.page), self.kept(("GET", self.page)),
                lambda: self.touch(self.calls)]


class EsbuildWatch(EsbuildServe):
    mode = ("--watch",)
    in_a_second = 5

    def start(self):
        super().start()
        self.port = 0

    def ready(self):
        return os.path.exists(os.path.join(self.folder, "www", "out.js"))

    def clients(self):
        return [lambda: self.touch(self.calls)]


# name, where from, how
ALL = [
    ("caddy, Debian", lambda: debian("caddy", "usr/bin/caddy"), Caddy),
    ("prometheus, Debian", lambda: debian("prometheus", "usr/bin/prometheus"), Prometheus),
    ("etcd, Debian", lambda: debian("etcd-server", "usr/bin/etcd"), Etcd),
    ("nats-server, Debian", lambda: debian("nats-server", "usr/sbin/nats-server"), Nats),
    ("syncthing, Debian", lambda: debian("syncthing", "usr/bin/syncthing"), Syncthing),
    ("influxd, Debian", lambda: debian("influxdb", "usr/bin/influxd"), Influx),
    ("containerd, Debian", lambda: debian("containerd", "usr/bin/containerd"), Containerd),
    ("esbuild --serve, npm", lambda: npm("@esbuild/linux-x64", "bin/esbuild"), EsbuildServe),
    ("esbuild --watch, npm", lambda: npm("@esbuild/linux-x64", "bin/esbuild"), EsbuildWatch),
    ("esbuild 0.19 --serve, npm", lambda: npm("@esbuild/linux-x64@0.19.12", "bin/esbuild"), EsbuildServe),	# Go 1.20
    ("esbuild 0.25 --serve, npm", lambda: npm("@esbuild/linux-x64@0.25.0", "bin/esbuild"), EsbuildServe),	# Go 1.23
    ("esbuild --serve, Debian", lambda: debian("esbuild", "usr/bin/esbuild"), EsbuildServe),
    ("nats-server, module", lambda: module("github.com/nats-io/nats-server/v2", "v2.15.3"), Nats),
    ("etcd, module", lambda: module("go.etcd.io/etcd/server/v3", "v3.7.3"), Etcd),
    ("caddy, module", lambda: module("github.com/caddyserver/caddy/v2/cmd/caddy", "v2.11.9"), Caddy),
    ("containerd, module", lambda: module("github.com/containerd/containerd/cmd/containerd", "v1.7.35"), Containerd),
]

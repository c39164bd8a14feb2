# SPDX-License-Identifier: BSD-2-Clause
"""Who a process is by the context that its OpenTelemetry SDK publishes, beside one that publishes
damaged ones and one that publishes none."""
import json
import struct

from harness import USUAL, Work, binary, wait_until
from test_host_export import Base, Collector, attributes


def varint(n):
    out = b""
    while n > 127:
        out += bytes([n & 127 | 128])
        n >>= 7
    return out + bytes([n])


def message(number, body):
    return varint(number << 3 | 2) + varint(len(body)) + body


def value(v):
    if isinstance(v, bool):
        return b"\x10" + varint(v)
    if isinstance(v, int):
        return b"\x18" + varint(v & (1 << 64) - 1)
    if isinstance(v, float):
        return b"\x21" + struct.pack("<d", v)
    if isinstance(v, list):
        return message(5, b"".join(message(1, value(x)) for x in v))
    return message(1, v.encode())


def resource(**of):
    return b"".join(message(1, message(1, k.replace("__", ".").encode()) + message(2, value(v))) for k, v in of.items())


def context(**of):
    return message(1, resource(**of))


class Context(Base):
    def program(self, **env):
        return self.stack.enter_context(Work(argv=[binary(f"otelctx-{USUAL}-stripped")], env=env))

    def service(self, h, p):
        for o in json.loads(h.get("/api/v1/processes")[2])["processes"]:
            if o["pid"] == p.pid and o["depth"] in ("totals", "walk"):
                return o["service"]

    def named(self, h, p, name, **more):
        s = wait_until(lambda: (s := self.service(h, p)) and s["name"] == name and s, f"the name {name}")
        self.assertEqual({k: s.get(k) for k in more}, more)
        return s

    def test_published(self):
        """At once, by who was named otherwise before, again; and not by the twin beside it."""
        env = {"OTEL_SERVICE_NAME": "by-environment", "OTEL_RESOURCE_ATTRIBUTES": "team=blue,service.version=env"}
        p, twin = self.program(**env), self.program(**env)
        first = context(service__name="shop", service__instance__id="uuid-1", service__namespace="eu", shard=7,
                        process__pid=1, process__command_line="secret", host__name="no", tags=["a", "b"])
        p.do("publish " + first.hex())
        c = Collector(200)
        self.stack.callback(c.close)
        h = self.host(f"processes:\n  - {{exe: '*/otelctx-*'}}\n  - {{depth: none}}\notlp:\n  endpoint: {c.url}\n  interval: 1s\n")
        self.named(h, p, "shop", instance_id="uuid-1", namespace="eu", version="env")
        self.named(h, twin, "by-environment", version="env")
        told = wait_until(lambda: c.resources("/v1/metrics", "resourceMetrics").get("shop"), "its resource")[-1]
        a = attributes(told["resource"])
        self.assertEqual((a["shard"], a["team"]), ("7", "blue"))	# of both
        self.assertNotIn("secret", json.dumps(told["resource"]))
        self.assertNotIn("tags", a)
        # another one, as of the first writers of this version: the resource itself
        p.do("publish " + resource(service__name="shop2", service__instance__id="uuid-2").hex())
        self.named(h, p, "shop2", instance_id="uuid-2", version="env")
        # one that is being written changes nothing, nor does its being taken away
        p.do("begin")
        seen = h.value("gospect_view_timestamp_seconds")
        wait_until(lambda: h.value("gospect_view_timestamp_seconds") > seen + 1, "two more views")
        self.assertEqual(self.service(h, p)["name"], "shop2")
        p.do("publish " + context(service__name="shop3").hex())
        self.named(h, p, "shop3")
        p.do("drop")
        seen = h.value("gospect_view_timestamp_seconds")
        wait_until(lambda: h.value("gospect_view_timestamp_seconds") > seen + 1, "two more views")
        self.assertEqual(self.service(h, p)["name"], "shop3")
        self.assertEqual(self.service(h, twin)["name"], "by-environment")

    def test_late(self):
        """Who publishes after it was opened is found, and so is who is only wanted by that name."""
        p = self.program()
        h = self.host("processes:\n  - {service: late}\n  - {depth: none}\n")
        wait_until(lambda: any(o["pid"] == p.pid and o.get("shallow") == "configured"
                               for o in json.loads(h.get("/api/v1/processes")[2])["processes"]), "its being left out")
        p.do("publish " + context(service__name="late").hex())
        self.named(h, p, "late")
        p.do("publish " + context(service__name="another").hex())
        wait_until(lambda: not self.service(h, p), "its being left out again")

    def test_damaged(self):
        """Whatever is there: it is as if nothing were, and nobody else notices."""
        p = self.program(OTEL_SERVICE_NAME="by-environment")
        good = context(service__name="good", service__version="1")
        h = self.host("processes:\n  - {exe: '*/otelctx-*'}\n  - {depth: none}\n")
        self.named(h, p, "by-environment")

        def header(signature=b"OTEL_CTX", version=2, size=len(good), stamp=0, at=None):
            return (signature + struct.pack("<IIQQ", version, size, stamp, at)).hex()

        at = p.do("publish " + (b"\x0a\xff" + good[2:]).hex())["payload"]
        stamp = 1 << 40
        for bad in ({"signature": b"OTEL_CTY"}, {"version": 3}, {"size": 0}, {"size": 1 << 31}, {"size": 0xffffffff},
                    {"at": 0}, {"at": 1}, {"at": (1 << 64) - 1}, {"at": 1 << 47}, {"size": 65536, "at": at}):
            stamp += 1
            p.do("raw " + header(**{"at": at, "stamp": stamp, **bad}))
            seen = h.value("gospect_view_timestamp_seconds")
            wait_until(lambda: h.value("gospect_view_timestamp_seconds") > seen, "another view")
            self.assertEqual(self.service(h, p)["name"], "by-environment", bad)
        p.do("raw " + "00" * 32)
        p.do("publish " + good.hex())
        self.named(h, p, "good", version="1")
        self.assertIsNone(h.p.poll())
        self.assertNotIn("OTEL", h.said())

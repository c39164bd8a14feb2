# SPDX-License-Identifier: BSD-2-Clause
"""Pools of database/sql: the same numbers as DB.Stats(), who holds the
connections and since when, with a driver of nothing for every release, and
with pgx and a PostgreSQL server."""
import datetime
import glob
import os
import pwd
import shutil
import subprocess
import tempfile
import time
import unittest

from harness import CACHE, Attach, binary, coverage, need_root, wait_until, window
from netprogs import SECRET, SENSORS, USUAL, Commands, Netload, at, each_variant, found, place, rows_of, snapshot

SQL = ("--only", "sql")


class Pools(unittest.TestCase):
    def setUp(self):
        need_root()

    def equal(self, pool, stats):
        for key, of in (("driver", "driver"), ("max_open", "max_open"), ("open", "open"), ("in_use", "in_use"),
                        ("idle", "idle"), ("wait_count_total", "wait_count"), ("wait_ns_total", "wait_ns")):
            self.assertEqual(pool[key], stats[of], (key, pool, stats))
        self.assertEqual(pool["exactness"], "exact")

    def begun_before(self, release, variant):
        with Netload(release, variant) as p:
            p.do("sql do=open max=4")
            p.do("sql do=work n=20")
            tx = p.do("sql do=hold what=tx n=2")
            p.do("sql do=hold what=rows n=1 alive=1")
            p.do("sql do=hold what=query n=1")
            p.do("sql do=wait n=20")
            p.do("sql do=open pool=b max=9")
            r = snapshot(p.pid, "--window", "4s", *SQL)
            s = p.do("sql do=stats")
            pools = {x["max_open"]: x for x in rows_of(r, "sql", "pools")}
            self.equal(pools[4], s["pools"]["a"])
            self.equal(pools[9], s["pools"]["b"])
            a = pools[4]
            self.assertEqual((a["waiters"], a["transactions_open"]), (20, 2))
            oldest = s["time"] - min(h["since"] for h in s["held"] if h["what"] == "tx")
            for key in ("longest_wait_s", "oldest_transaction_s"):
                self.assertTrue(3.5 < a[key] <= oldest + 0.1, (key, a, oldest))
            kinds = {k for k, _ in found(r)}
            self.assertEqual(kinds & {"pool-exhausted", "transaction-open"}, {"pool-exhausted", "transaction-open"})
            f, = [f for f in r["findings"] if f["kind"] == "pool-exhausted"]
            self.assertEqual((f["severity"], f["numbers"]["max_open"], f["numbers"]["in_use"], f["numbers"]["waiters"]),
                             ("critical", 4, 4, 20))
            p.do("sql do=release")
            r = snapshot(p.pid, "--window", "0", *SQL)
            s = p.do("sql do=stats")
        a, = [x for x in rows_of(r, "sql", "pools") if x["max_open"] == 4]
        self.equal(a, s["pools"]["a"])
        self.assertEqual((a["waiters"], a["transactions_open"], a["in_use"], a["holders"]), (0, 0, 0, []))
        self.assertEqual(found(r), set())
        self.assertTrue(tx["ok"])

    def seen_to_begin(self, release, variant):
        """The places are those of the calls."""
        with Netload(release, variant) as p:
            p.do("sql do=open max=6")
            begun = {}	# not before, not after
            with Attach(p.pid, *SENSORS) as a:
                for what in ("tx n=2", "rows n=2 alive=1", "conn n=1", "query n=1"):
                    before = time.time()
                    p.do("sql do=hold what=" + what)
                    begun[what.split()[0]] = before, time.time()
                p.do("sql do=wait n=5")
                wait_until(lambda: time.time() > begun["query"][1] + 3.2, "all to be held for so long")
                asked = time.time()
                r = a.stop()[-1]
            end = datetime.datetime.fromisoformat(r["time"].replace("Z", "+00:00")).timestamp()
            s, where = p.do("sql do=stats"), p.where()
        pool, = rows_of(r, "sql", "pools")
        self.equal(pool, s["pools"]["a"])
        holders = {place(h): h for h in pool["holders"]}
        for what, n in (("tx", 2), ("rows", 2), ("conn", 1), ("query", 1)):
            # up to 1.19 nothing of (*DB).Conn can be probed behind the call that takes it
            if what == "conn" and release.startswith(("1.18.", "1.19.")):
                self.assertIn("who holds connections", coverage(r, "sql")["why"])
                continue
            with self.subTest(what):
                h = holders[at(where[what])]
                self.assertEqual((h["count"], h["place_is"], h["age"]), (n, "call", "exact"))
                # as of the last look, which comes before the report's end, on a busy machine by a while
                self.assertTrue(min(asked, end) - begun[what][1] - 0.1 < h["held_s"] < end - begun[what][0] + 0.01,
                                (h, asked, end, begun))
                self.assertEqual(h.get("transaction", False), what == "tx")
        self.assertIn(("transaction-open", at(where["tx"])), found(r))
        self.assertIn("pool-exhausted", {k for k, _ in found(r)})
        self.assertEqual(pool["waits_at"], where["wait_query"])

    def test_healthy(self):
        with Netload() as p:
            p.do("sql do=open max=4 idle=4")	# as many at a time: none is closed
            with window(p.pid, *SQL) as a:
                p.do("sql do=work n=3000 conc=4")
            s = p.do("sql do=stats")
        self.equal(rows_of(a.report, "sql", "pools")[0], s["pools"]["a"])
        self.assertEqual(found(a.report), set())
        self.assertEqual(set(a.report["losses"].values()), {0})

    def test_closed_while_read(self):
        with Netload() as p:
            p.do("sql do=open max=4")
            p.do("sql do=flip n=3000")
            for _ in range(10):
                r = snapshot(p.pid, "--window", "0", *SQL)
                self.assertIn(4, {x["max_open"] for x in rows_of(r, "sql", "pools")})
            p.do("sql do=join")
            r = snapshot(p.pid, "--window", "0", *SQL)
            self.assertEqual([x["max_open"] for x in rows_of(r, "sql", "pools")], [4])

    def test_not_linked(self):
        from harness import Work, coverage
        with Work() as w, window(w.pid) as a:
            w.do("births 1")
        self.assertEqual(coverage(a.report, "sql")["state"], "off")
        self.assertIn("database/sql", coverage(a.report, "sql")["why"])
        self.assertNotIn("sql", a.report)


each_variant(Pools, "begun_before", Pools.begun_before)
each_variant(Pools, "seen_to_begin", Pools.seen_to_begin)


class Server:
    """A PostgreSQL server of its own in a folder, as a user who is not root."""

    def __init__(self):
        try:
            self.user = pwd.getpwnam("postgres")
        except KeyError:
            self.user = pwd.getpwnam("nobody")
        self.dir = tempfile.mkdtemp(prefix="gospect-pg")
        self.p = None
        self.libraries = {}
        os.chown(self.dir, self.user.pw_uid, self.user.pw_gid)
        try:
            self.bin = self.programs()
            self.start()
        except BaseException:
            self.close()
            raise

    def programs(self):
        """The folder of the server's programs: installed, or fetched by tools/setup,
        and then copied to where another user may read them."""
        installed = sorted(glob.glob("/usr/lib/postgresql/*/bin"))
        if installed:
            return installed[-1]
        fetched = os.path.join(CACHE, "postgresql")
        if not glob.glob(fetched + "/usr/lib/postgresql/*/bin/initdb"):
            raise unittest.SkipTest("PostgreSQL is neither installed nor fetched")
        copy = os.path.join(self.dir, "postgresql")
        shutil.copytree(fetched, copy, symlinks=True)
        self.libraries = {"LD_LIBRARY_PATH": ":".join(glob.glob(copy + "/usr/lib/*-linux-gnu"))}
        return sorted(glob.glob(copy + "/usr/lib/postgresql/*/bin"))[-1]

    def as_user(self):
        return {"user": self.user.pw_uid, "group": self.user.pw_gid, "extra_groups": [], "cwd": self.dir,
                "stdin": subprocess.DEVNULL, "env": {"PATH": os.environ["PATH"], "HOME": self.dir, "LC_ALL": "C",
                                                     **self.libraries}}

    def start(self):
        data = os.path.join(self.dir, "data")
        p = subprocess.run([os.path.join(self.bin, "initdb"), "-D", data, "-A", "trust", "-U", "tester", "-N",
                            "--no-locale", "-E", "UTF8"], capture_output=True, text=True, **self.as_user())
        if p.returncode:
            raise AssertionError("initdb: " + p.stderr)
        self.p = subprocess.Popen([os.path.join(self.bin, "postgres"), "-D", data, "-k", self.dir, "-c", "listen_addresses=",
                                   "-c", "fsync=off"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                  **self.as_user())
        wait_until(lambda: os.path.exists(os.path.join(self.dir, ".s.PGSQL.5432")), "PostgreSQL to listen")
        wait_until(lambda: subprocess.run([os.path.join(self.bin, "pg_isready"), "-h", self.dir, "-q"],
                                          **self.as_user()).returncode == 0, "PostgreSQL to answer")
        self.dsn = f"host={self.dir} user=tester dbname=postgres password={SECRET}dsn"

    def close(self):
        if self.p:
            self.p.terminate()
            try:
                self.p.wait(20)
            except subprocess.TimeoutExpired:
                self.p.kill()
                self.p.wait()
        shutil.rmtree(self.dir, ignore_errors=True)


class Postgres(unittest.TestCase):
    equal = Pools.equal

    @classmethod
    def setUpClass(cls):
        need_root()
        cls.program = binary(f"pgpool-{USUAL}-stripped")
        cls.server = Server()

    @classmethod
    def tearDownClass(cls):
        cls.server.close()

    def test_pool(self):
        with Commands([self.program, "-dsn", self.server.dsn, "-max", "4"]) as p:
            p.do("work 100")
            r = snapshot(p.pid, "--window", "0", *SQL)
            pool, = rows_of(r, "sql", "pools")
            self.equal(pool, p.do("stats"))
            self.assertEqual(pool["driver"], "*stdlib.Driver")
            self.assertEqual(found(r), set())
            with Attach(p.pid, "--for", "4s", *SENSORS, every="60s") as a:
                p.do("hold tx 2")
                p.do("hold rows 1")
                p.do("hold conn 1")
                p.do("wait 8")
                r = a.next()
            s = p.do("stats")
            pool, = rows_of(r, "sql", "pools")
            self.equal(pool, s)
            self.assertEqual((pool["waiters"], pool["transactions_open"]), (8, 2))
            held = {place(h): h["count"] for h in pool["holders"]}
            self.assertEqual(held, {at(s["places"]["tx"]): 2, at(s["places"]["rows"]): 1, at(s["places"]["conn"]): 1})
            self.assertIn(("transaction-open", at(s["places"]["tx"])), found(r))
            self.assertIn(("pool-exhausted", at(s["places"]["tx"])), found(r))
            # the same from memory alone
            r = snapshot(p.pid, "--window", "0", *SQL)
            pool, = rows_of(r, "sql", "pools")
            self.assertEqual((pool["waiters"], pool["transactions_open"], pool["in_use"]), (8, 2, 4))
            self.assertEqual(p.do("release")["failed"], 0)
            r = snapshot(p.pid, "--window", "0", *SQL)
            self.equal(rows_of(r, "sql", "pools")[0], p.do("stats"))

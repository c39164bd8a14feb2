// SPDX-License-Identifier: BSD-2-Clause

package main

import (
	"context"
	"database/sql"
	"fmt"
	"sort"
	"sync"
	"sync/atomic"
	"time"
)

// The commands on databases; `pool` is "a" where it is not given:
//
//	sql do=open pool= max= idle=    a pool
//	sql do=delay open= query=       of every connection and query from now on
//	sql do=hold what=tx|rows|conn|query n= alive=   n connections that stay in use; with
//	                                alive=1 by goroutines that live on
//	sql do=wait n= how=query|begin  n goroutines that wait for a connection
//	sql do=work n= conc=            n queries and transactions that end as they should
//	sql do=stats                    sql.DBStats of every pool, what is held and since when
//	sql do=release                  all is given back; those who waited have ended
//	sql do=close
//	sql do=flip n=                  n times: open, work, close, in the background; `sql do=join`

type held struct {
	what  string
	pool  string
	since time.Time
	end   func()
}

var databases struct {
	mu   sync.Mutex
	pool map[string]*sql.DB
	held []held

	wg     sync.WaitGroup // of those who wait or work
	flips  sync.WaitGroup
	failed int64 // atomic
}

const secretDSN = "user:topsecretdsn@tcp(db.topsecretdsn.test:3306)/shop"

func cmdSQL(o options) (answer, error) {
	do := map[string]func(options) (answer, error){
		"open": sqlOpen, "delay": sqlDelay, "hold": sqlHold, "wait": sqlWait, "work": sqlWork, "stats": sqlStats,
		"release": sqlRelease, "close": sqlClose, "flip": sqlFlip,
		"join": func(options) (answer, error) { databases.flips.Wait(); return nil, nil },
	}[o["do"]]
	if do == nil {
		return nil, fmt.Errorf("no such thing to do: %q", o["do"])
	}
	return do(o)
}

func pool(o options) (*sql.DB, string) {
	databases.mu.Lock()
	defer databases.mu.Unlock()
	name := o.text("pool", "a")
	db := databases.pool[name]
	if db == nil {
		panic(fmt.Errorf("no such pool: %q", name))
	}
	return db, name
}

func sqlOpen(o options) (answer, error) {
	db, err := sql.Open("netload", secretDSN)
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(o.number("max", 0))
	db.SetMaxIdleConns(o.number("idle", 2))
	databases.mu.Lock()
	defer databases.mu.Unlock()
	if databases.pool == nil {
		databases.pool = map[string]*sql.DB{}
	}
	databases.pool[o.text("pool", "a")] = db
	return answer{"driver": fmt.Sprintf("%T", db.Driver())}, db.Ping()
}

func sqlDelay(o options) (answer, error) {
	atomic.StoreInt64(&fake.openDelay, int64(o.ms("open")))
	atomic.StoreInt64(&fake.queryDelay, int64(o.ms("query")))
	return nil, nil
}

func keep(what, pool string, end func()) {
	databases.mu.Lock()
	defer databases.mu.Unlock()
	databases.held = append(databases.held, held{what, pool, time.Now(), end})
}

func sqlHold(o options) (answer, error) {
	db, name := pool(o)
	what, n, alive := o.text("what", "tx"), o.number("n", 1), o.number("alive", 0) != 0
	take := map[string]func(*sql.DB) (func(), error){"tx": forgetTx, "rows": forgetRows, "conn": holdConn}[what]
	if what == "query" {
		return sqlHoldQueries(db, n)
	}
	if take == nil {
		return nil, fmt.Errorf("cannot hold %q", what)
	}
	got := make(chan error)
	for i := 0; i < n; i++ {
		databases.wg.Add(1)
		go func() {
			defer databases.wg.Done()
			end, err := take(db)
			if err == nil {
				keep(what, name, end)
			}
			ended := gate.wait()
			got <- err
			if alive {
				<-ended
			}
		}()
	}
	var failed error
	for i := 0; i < n; i++ {
		if err := <-got; err != nil {
			failed = err
		}
	}
	return answer{"place": placeOf(what)}, failed
}

func forgetTx(db *sql.DB) (func(), error) {
	nextLineIs("tx")
	tx, err := db.BeginTx(context.Background(), nil)
	if err != nil {
		return nil, err
	}
	if _, err := tx.Exec("update topsecretdsn set a = 1"); err != nil {
		return nil, err
	}
	return func() { _ = tx.Rollback() }, nil
}

func forgetRows(db *sql.DB) (func(), error) {
	nextLineIs("rows")
	rows, err := db.Query("select topsecretdsn")
	if err != nil {
		return nil, err
	}
	rows.Next()
	return func() { _ = rows.Close() }, rows.Err()
}

func holdConn(db *sql.DB) (func(), error) {
	nextLineIs("conn")
	c, err := db.Conn(context.Background())
	if err != nil {
		return nil, err
	}
	return func() { _ = c.Close() }, c.PingContext(context.Background())
}

// sqlHoldQueries are queries that the server is slow with, until the release.
func sqlHoldQueries(db *sql.DB, n int) (answer, error) {
	before := atomic.LoadInt64(&fake.slow)
	for i := 0; i < n; i++ {
		databases.wg.Add(1)
		go func() {
			defer databases.wg.Done()
			slowQuery(db)
		}()
	}
	err := waitFor("slow queries", func() bool { return atomic.LoadInt64(&fake.slow) >= before+int64(n) })
	return answer{"place": placeOf("query")}, err
}

func slowQuery(db *sql.DB) {
	nextLineIs("query")
	rows, err := db.Query("slow")
	if err != nil {
		atomic.AddInt64(&databases.failed, 1)
		return
	}
	rows.Close()
}

func sqlWait(o options) (answer, error) {
	db, _ := pool(o)
	n, how := o.number("n", 1), o.text("how", "query")
	before := db.Stats().WaitCount
	for i := 0; i < n; i++ {
		databases.wg.Add(1)
		go func() {
			defer databases.wg.Done()
			err := error(nil)
			if how == "begin" {
				err = waitToBegin(db)
			} else {
				err = waitToQuery(db)
			}
			if err != nil {
				atomic.AddInt64(&databases.failed, 1)
			}
		}()
	}
	err := waitFor("them to wait", func() bool { return db.Stats().WaitCount >= before+int64(n) })
	return answer{"place": placeOf("wait_" + how)}, err
}

func waitToQuery(db *sql.DB) error {
	nextLineIs("wait_query")
	rows, err := db.Query("select 1")
	if err != nil {
		return err
	}
	return rows.Close()
}

func waitToBegin(db *sql.DB) error {
	nextLineIs("wait_begin")
	tx, err := db.Begin()
	if err != nil {
		return err
	}
	return tx.Commit()
}

// sqlWork is what a healthy program does.
func sqlWork(o options) (answer, error) {
	db, _ := pool(o)
	failed := parallel(o.number("n", 100), o.number("conc", 4), o.number("rate", 0), func() error {
		if err := waitToQuery(db); err != nil {
			return err
		}
		return waitToBegin(db)
	})
	return answer{"failed": failed}, nil
}

func sqlStats(options) (answer, error) {
	databases.mu.Lock()
	defer databases.mu.Unlock()
	pools := answer{}
	for name, db := range databases.pool {
		s := db.Stats()
		pools[name] = answer{"driver": fmt.Sprintf("%T", db.Driver()), "max_open": s.MaxOpenConnections,
			"open": s.OpenConnections, "in_use": s.InUse, "idle": s.Idle,
			"wait_count": s.WaitCount, "wait_ns": int64(s.WaitDuration)}
	}
	sort.Slice(databases.held, func(i, j int) bool { return databases.held[i].since.Before(databases.held[j].since) })
	rows := []answer{}
	for _, h := range databases.held {
		rows = append(rows, answer{"what": h.what, "pool": h.pool, "since": unix(h.since), "place": placeOf(h.what)})
	}
	return answer{"pools": pools, "held": rows, "failed": atomic.LoadInt64(&databases.failed), "time": unix(time.Now())}, nil
}

func sqlRelease(options) (answer, error) {
	databases.mu.Lock()
	all := databases.held
	databases.held = nil
	databases.mu.Unlock()
	for _, h := range all {
		h.end()
	}
	gate.open()
	databases.wg.Wait()
	return answer{"failed": atomic.LoadInt64(&databases.failed)}, nil
}

func sqlClose(o options) (answer, error) {
	db, name := pool(o)
	databases.mu.Lock()
	delete(databases.pool, name)
	databases.mu.Unlock()
	return nil, db.Close()
}

// sqlFlip opens and closes pools while somebody looks.
func sqlFlip(o options) (answer, error) {
	n := o.number("n", 100)
	databases.flips.Add(1)
	go func() {
		defer databases.flips.Done()
		for i := 0; i < n; i++ {
			db, err := sql.Open("netload", secretDSN)
			if err != nil {
				panic(err)
			}
			db.SetMaxOpenConns(2)
			parallel(20, 4, 0, func() error { return waitToBegin(db) })
			db.Close()
		}
	}()
	return nil, nil
}

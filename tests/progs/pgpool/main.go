// SPDX-License-Identifier: BSD-2-Clause

// pgpool uses a PostgreSQL server by way of database/sql and pgx, as it is
// told: pgpool -dsn DSN [-max N].
//
// It prints `READY pid=N` and then answers every line on its standard input
// with one line of JSON, once what the line asks for is done:
//
//	hold tx|rows|conn N    N connections that stay in use
//	wait N                 N goroutines that wait for a connection
//	work N                 N queries and transactions, four at once
//	stats                  sql.DBStats, what is held and since when, places
//	release                all is given back; those who waited have ended
//	quit                   end
package main

import (
	"bufio"
	"context"
	"database/sql"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"
)

type answer map[string]any

type place struct {
	Function string `json:"function"`
	File     string `json:"file"`
	Line     int    `json:"line"`
}

type held struct {
	What  string  `json:"what"`
	Since float64 `json:"since"`
	end   func() error
}

type pool struct {
	db   *sql.DB
	wait sync.WaitGroup

	mu     sync.Mutex
	places map[string]place
	held   []held
	failed int
}

func main() {
	dsn := flag.String("dsn", "", "where the server is")
	most := flag.Int("max", 4, "connections at most")
	flag.Parse()
	p, err := open(*dsn, *most)
	if err != nil {
		fmt.Fprintln(os.Stderr, "pgpool:", err)
		os.Exit(1)
	}
	fmt.Printf("READY pid=%d\n", os.Getpid())
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		words := strings.Fields(in.Text())
		if len(words) == 0 {
			continue
		}
		if words[0] == "quit" {
			return
		}
		p.reply(words)
	}
}

func open(dsn string, most int) (*pool, error) {
	db, err := sql.Open("pgx", dsn)
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(most)
	p := &pool{db: db, places: map[string]place{}}
	_, err = db.Exec("create table if not exists topsecrettable (n int)")
	return p, err
}

func (p *pool) reply(words []string) {
	a, err := p.run(words)
	if a == nil {
		a = answer{}
	}
	a["cmd"], a["ok"] = words[0], err == nil
	if err != nil {
		a["error"] = err.Error()
	}
	if err := json.NewEncoder(os.Stdout).Encode(a); err != nil {
		os.Exit(1)
	}
}

func (p *pool) run(words []string) (answer, error) {
	n := 0
	if len(words) > 1 {
		n, _ = strconv.Atoi(words[len(words)-1])
	}
	switch words[0] {
	case "hold":
		return p.hold(words[1], n)
	case "wait":
		return p.waiters(n)
	case "work":
		return p.work(n)
	case "stats":
		return p.stats(), nil
	case "release":
		return p.release()
	}
	return nil, fmt.Errorf("unknown command")
}

// nextLineIs notes that what is called so is on the caller's next line.
func (p *pool) nextLineIs(name string) {
	pc, file, line, _ := runtime.Caller(1)
	f, _ := runtime.CallersFrames([]uintptr{pc}).Next()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.places[name] = place{f.Function, filepath.Base(file), line + 1}
}

func (p *pool) hold(what string, n int) (answer, error) {
	take := map[string]func() (func() error, error){"tx": p.forgetTx, "rows": p.forgetRows, "conn": p.holdConn}[what]
	if take == nil {
		return nil, fmt.Errorf("cannot hold %q", what)
	}
	for i := 0; i < n; i++ {
		end, err := take()
		if err != nil {
			return nil, err
		}
		p.mu.Lock()
		p.held = append(p.held, held{what, unix(time.Now()), end})
		p.mu.Unlock()
	}
	return answer{"place": p.places[what]}, nil
}

func (p *pool) forgetTx() (func() error, error) {
	p.nextLineIs("tx")
	tx, err := p.db.BeginTx(context.Background(), nil)
	if err != nil {
		return nil, err
	}
	_, err = tx.Exec("insert into topsecrettable values (1)")
	return tx.Rollback, err
}

func (p *pool) forgetRows() (func() error, error) {
	p.nextLineIs("rows")
	rows, err := p.db.Query("select generate_series(1, 100000)")
	if err != nil {
		return nil, err
	}
	rows.Next()
	return rows.Close, rows.Err()
}

func (p *pool) holdConn() (func() error, error) {
	p.nextLineIs("conn")
	c, err := p.db.Conn(context.Background())
	if err != nil {
		return nil, err
	}
	return c.Close, nil
}

func (p *pool) waiters(n int) (answer, error) {
	before := p.db.Stats().WaitCount
	for i := 0; i < n; i++ {
		p.wait.Go(p.ask)
	}
	for end := time.Now().Add(30 * time.Second); p.db.Stats().WaitCount < before+int64(n); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			return nil, fmt.Errorf("waited 30 s for waiters")
		}
	}
	return answer{"place": p.places["ask"]}, nil
}

func (p *pool) ask() {
	p.nextLineIs("ask")
	rows, err := p.db.Query("select n from topsecrettable limit 1")
	if err == nil {
		err = rows.Close()
	}
	if err != nil {
		p.mu.Lock()
		p.failed++
		p.mu.Unlock()
	}
}

func (p *pool) work(n int) (answer, error) {
	var wg sync.WaitGroup
	for i := 0; i < 4; i++ {
		wg.Go(func() {
			for k := 0; k < n/4; k++ {
				p.ask()
				p.insert()
			}
		})
	}
	wg.Wait()
	return answer{"failed": p.failed}, nil
}

func (p *pool) insert() {
	tx, err := p.db.Begin()
	if err == nil {
		_, err = tx.Exec("insert into topsecrettable values (2)")
		if err == nil {
			err = tx.Commit()
		}
	}
	if err != nil {
		p.mu.Lock()
		p.failed++
		p.mu.Unlock()
	}
}

func (p *pool) stats() answer {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.db.Stats()
	return answer{"driver": fmt.Sprintf("%T", p.db.Driver()), "max_open": s.MaxOpenConnections, "open": s.OpenConnections,
		"in_use": s.InUse, "idle": s.Idle, "wait_count": s.WaitCount, "wait_ns": int64(s.WaitDuration),
		"held": p.held, "places": p.places, "failed": p.failed, "time": unix(time.Now())}
}

func (p *pool) release() (answer, error) {
	var failed error
	for _, h := range p.held {
		if err := h.end(); err != nil {
			failed = err
		}
	}
	p.held = nil
	p.wait.Wait()
	return answer{"failed": p.failed}, failed
}

func unix(t time.Time) float64 { return float64(t.UnixNano()) / 1e9 }

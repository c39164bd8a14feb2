// SPDX-License-Identifier: BSD-2-Clause

// netparts stands still in the states that src/target and src/observe read:
// functions with arguments of every shape, an HTTP client and server in the
// middle of a request, two database pools, contended locks.  It prints what is
// true, one fact a line, then READY, and ends with its standard input.
package main

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"
)

// --- arguments ---------------------------------------------------------------

type pair struct {
	n int
	s string
}

type receiver struct{ field int }

type failure struct{ code int }

func (f *failure) Error() string { return fmt.Sprint(f.code) }

var (
	park = make(chan int)
	sink any
	out  int
)

//go:noinline
func stand() { <-park }

//go:noinline
func usedInts(a, b, c int) { stand(); out += a + b + c }

//go:noinline
func unusedInts(a, b, c int) { out = a + b + c; stand() }

//go:noinline
func usedMixed(s string, sl []byte, e error, p pair) { stand(); sink = []any{s, sl, e, p} }

//go:noinline
func (r *receiver) usedMethod(small int8, n int) { stand(); out += r.field + n + int(small) }

//go:noinline
func usedMany(a, b, c, d, e, f, g, h, i, j, k, l int) {
	stand()
	out += a + b + c + d + e + f + g + h + i + j + k + l
}

//go:noinline
func usedArray(a [3]int, n int) { stand(); out += a[0] + a[2] + n }

//go:noinline
func partlyUsed(a int, s string, b int) { out += a; stand(); out += b }

//go:noinline
func usedAddress(a, b int) { sink = &a; stand(); out += b }

func stands() {
	bytes := []byte("bytes")
	err := error(&failure{7})
	r := &receiver{3}
	fmt.Printf("receiver %p\n", r)
	fmt.Printf("bytes %p\n", bytes)
	fmt.Printf("failure %p\n", err)
	late := any(err).(interface{ Error() string }) // looked up at run time
	fmt.Printf("late_itab %#x\n", (*[2]uintptr)(unsafe.Pointer(&late))[0])
	go usedInts(0x11, 0x22, 0x33)
	go unusedInts(0x11, 0x22, 0x33)
	go usedMixed("string", bytes, err, pair{0x44, "in a struct"})
	go r.usedMethod(-5, 0x55)
	go usedMany(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12)
	go usedArray([3]int{0x61, 0x62, 0x63}, 0x64)
	go partlyUsed(0x71, "not used", 0x73)
	go usedAddress(0x81, 0x82)
}

// --- net/http ------------------------------------------------------------------

type slow struct {
	hold    chan int
	arrived int32
}

func (s *slow) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/half" {
		io.WriteString(w, "half")
		w.(http.Flusher).Flush()
	}
	atomic.AddInt32(&s.arrived, 1)
	<-s.hold
}

func ask(c *http.Client, url string) {
	r, err := c.Get(url)
	if err == nil {
		io.Copy(io.Discard, r.Body)
	}
	fmt.Println("unexpected end", err)
}

func requests() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(err)
	h := &slow{hold: park}
	s := &http.Server{Handler: h, ReadHeaderTimeout: 77 * time.Second}
	go s.Serve(l)
	t := &http.Transport{MaxConnsPerHost: 2}
	c := &http.Client{Transport: t, Timeout: 3000 * time.Second}
	fmt.Printf("server %p\nclient %p\ntransport %p\naddr %s\n", s, c, t, l.Addr())
	go ask(c, "http://"+l.Addr().String()+"/none")
	go ask(c, "http://"+l.Addr().String()+"/half")
	until(func() bool { return atomic.LoadInt32(&h.arrived) == 2 })
	go ask(c, "http://"+l.Addr().String()+"/queued")
	go ask(c, "http://"+l.Addr().String()+"/queued")
}

// --- database/sql ----------------------------------------------------------------

type fakeDriver struct{}
type fakeConn struct{}
type fakeTx struct{}
type fakeRows struct{ left int }
type fakeConnector struct {
	dsn    string
	driver *fakeDriver
}

func (fakeDriver) Open(string) (driver.Conn, error)                   { return &fakeConn{}, nil }
func (c *fakeConnector) Connect(context.Context) (driver.Conn, error) { return &fakeConn{}, nil }
func (c *fakeConnector) Driver() driver.Driver                        { return c.driver }

func (*fakeConn) Prepare(string) (driver.Stmt, error) { return nil, errors.New("no statements") }
func (*fakeConn) Close() error                        { return nil }
func (*fakeConn) Begin() (driver.Tx, error)           { return fakeTx{}, nil }
func (*fakeConn) ExecContext(ctx context.Context, q string, args []driver.NamedValue) (driver.Result, error) {
	<-park
	return nil, nil
}
func (*fakeConn) QueryContext(ctx context.Context, q string, args []driver.NamedValue) (driver.Rows, error) {
	return &fakeRows{1}, nil
}
func (fakeTx) Commit() error                    { return nil }
func (fakeTx) Rollback() error                  { return nil }
func (r *fakeRows) Columns() []string           { return []string{"x"} }
func (r *fakeRows) Close() error                { return nil }
func (r *fakeRows) Next(v []driver.Value) error { v[0] = int64(1); return nil }

//go:noinline
func holdTx(db *sql.DB) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	tx, err := db.BeginTx(ctx, nil)
	must(err)
	fmt.Printf("tx %p\n", tx)
	<-park
	tx.Commit()
}

//go:noinline
func holdRows(db *sql.DB) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	rows, err := db.QueryContext(ctx, "select")
	must(err)
	fmt.Printf("rows %p\n", rows)
	<-park
	rows.Close()
}

//go:noinline
func holdConn(db *sql.DB) {
	c, err := db.Conn(context.Background())
	must(err)
	<-park
	c.Close()
}

//go:noinline
func holdCall(db *sql.DB) {
	db.ExecContext(context.Background(), "exec")
}

//go:noinline
func waitForConn(db *sql.DB) {
	db.ExecContext(context.Background(), "exec")
}

func stats(name string, db *sql.DB) {
	s := db.Stats()
	fmt.Printf("%s_stats %d %d %d %d %d\n", name, s.MaxOpenConnections, s.OpenConnections, s.InUse, s.Idle, s.WaitCount)
}

type stuckConnector struct{ fakeConnector }

func (c *stuckConnector) Connect(context.Context) (driver.Conn, error) {
	<-park
	return nil, io.EOF
}

//go:noinline
func dial(db *sql.DB) { db.Ping() }

func pools() {
	sql.Register("fake", fakeDriver{})
	a, err := sql.Open("fake", "dsn")
	must(err)
	a.SetMaxOpenConns(4)
	go holdTx(a)
	go holdRows(a)
	go holdConn(a)
	go holdCall(a)
	until(func() bool { return a.Stats().InUse == 4 })
	for i := 0; i < 3; i++ {
		go waitForConn(a)
	}
	until(func() bool { return a.Stats().WaitCount == 3 })
	b := sql.OpenDB(&fakeConnector{"dsn", &fakeDriver{}})
	b.SetMaxIdleConns(5)
	var idle []*sql.Conn
	for i := 0; i < 3; i++ {
		c, err := b.Conn(context.Background())
		must(err)
		idle = append(idle, c)
	}
	for _, c := range idle {
		c.Close()
	}
	fmt.Printf("a %p\nb %p\n", a, b)
	stats("a", a)
	stats("b", b)
	c := sql.OpenDB(&stuckConnector{fakeConnector{"dsn", &fakeDriver{}}})
	go dial(c)
	until(func() bool { return c.Stats().InUse == 1 })
	fmt.Printf("c %p\n", c)
	d := sql.OpenDB(&fakeConnector{"dsn", &fakeDriver{}})
	d.Close()
	keep = append(keep, a, b, c)
}

// --- locks ---------------------------------------------------------------------

var (
	mu   sync.Mutex
	rw   sync.RWMutex
	keep []any
)

//go:noinline
func lockMutex() { mu.Lock(); out++; mu.Unlock() }

//go:noinline
func lockForReading() { rw.RLock(); out++; rw.RUnlock() }

//go:noinline
func holdLocks() {
	mu.Lock()
	defer mu.Unlock()
	rw.Lock()
	defer rw.Unlock()
	held <- 1
	<-park
}

var held = make(chan int)

func locks() {
	fmt.Printf("mu %p\nrw %p\n", &mu, &rw)
	go holdLocks()
	<-held
	for i := 0; i < 4; i++ {
		go lockMutex()
	}
	for i := 0; i < 2; i++ {
		go lockForReading()
	}
}

// --- maps -----------------------------------------------------------------------

func maps() {
	for _, n := range []int{0, 1, 8, 9, 100, 5000} {
		m, byName := map[uint32]*int{}, map[string][2]int{}
		for i := 0; i < n+n/2; i++ {
			m[uint32(i)] = new(int)
			byName[fmt.Sprint(i)] = [2]int{i, 2 * i}
		}
		for i := n; i < n+n/2; i++ { // holes
			delete(m, uint32(i))
			delete(byName, fmt.Sprint(i))
		}
		fmt.Printf("map_%d %#x\n", n, *(*uintptr)(unsafe.Pointer(&m)))
		fmt.Printf("names_%d %#x\n", n, *(*uintptr)(unsafe.Pointer(&byName)))
		keep = append(keep, m, byName)
	}
}

func until(ok func() bool) {
	for !ok() {
		time.Sleep(time.Millisecond)
	}
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func main() {
	stands()
	requests()
	pools()
	locks()
	maps()
	fmt.Println("READY")
	io.Copy(io.Discard, os.Stdin)
}

// SPDX-License-Identifier: BSD-2-Clause

// netcount does a known number of everything that probes count: look-ups,
// dials, handshakes, requests of HTTP/1 and HTTP/2, waits for connections and
// locks.  It prints its servers' ports, then READY; a line on its standard
// input names what to do, and DONE is printed when it is done.
package main

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"
)

var kept *sql.Tx

const slow = 200 * time.Millisecond

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "netcount:", err)
		os.Exit(1)
	}
}

func serve(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/slow":
		time.Sleep(slow)
	case "/body":
		io.WriteString(w, strings.Repeat("x", 100))
		w.(http.Flusher).Flush()
		time.Sleep(slow)
	case "/moved":
		http.Redirect(w, r, "/", http.StatusFound)
		return
	}
	io.WriteString(w, "hello")
}

func certificate() tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(err)
	c := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"localhost"},
		NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	check(err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func listen(useTLS bool) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	_, port, _ := net.SplitHostPort(l.Addr().String())
	s := &http.Server{Handler: http.HandlerFunc(serve)}
	if useTLS {
		s.TLSConfig = &tls.Config{Certificates: []tls.Certificate{certificate()}}
		go s.ServeTLS(l, "", "")
	} else {
		go s.Serve(l)
	}
	return port
}

func client(t *http.Transport) *http.Client {
	t.TLSClientConfig = &tls.Config{InsecureSkipVerify: true}
	return &http.Client{Transport: t}
}

func get(c *http.Client, url string) {
	r, err := c.Get(url)
	if err != nil {
		return
	}
	io.Copy(io.Discard, r.Body)
	r.Body.Close()
}

func times(n int, f func()) {
	for i := 0; i < n; i++ {
		f()
	}
}

func together(n int, f func()) {
	var wg sync.WaitGroup
	for i := 0; i < n; i++ {
		wg.Add(1)
		go func() {
			defer wg.Done()
			f()
		}()
	}
	wg.Wait()
}

// --- a database that knows nothing -------------------------------------------

type drv struct{}
type conn struct{}
type stmt struct{}
type rows struct{}

func (drv) Open(string) (driver.Conn, error)            { return conn{}, nil }
func (conn) Prepare(string) (driver.Stmt, error)        { return stmt{}, nil }
func (conn) Close() error                               { return nil }
func (conn) Begin() (driver.Tx, error)                  { return conn{}, nil }
func (conn) Commit() error                              { return nil }
func (conn) Rollback() error                            { return nil }
func (stmt) Close() error                               { return nil }
func (stmt) NumInput() int                              { return 0 }
func (stmt) Exec([]driver.Value) (driver.Result, error) { return nil, errors.New("no") }
func (stmt) Query([]driver.Value) (driver.Rows, error)  { return rows{}, nil }
func (rows) Columns() []string                          { return []string{"a"} }
func (rows) Close() error                               { return nil }
func (rows) Next([]driver.Value) error                  { return io.EOF }

func queries(db *sql.DB) {
	held, err := db.Conn(context.Background())
	check(err)
	done := make(chan bool)
	go func() {
		together(6, func() {
			r, err := db.Query("")
			check(err)
			r.Close()
		})
		close(done)
	}()
	for db.Stats().WaitCount < 6 {
		time.Sleep(time.Millisecond)
	}
	held.Close()
	<-done
}

// transaction prints which connection it has, and keeps it.
func transaction(db *sql.DB) {
	tx, err := db.Begin()
	check(err)
	kept = tx
	fmt.Printf("%#x\n", reflect.ValueOf(tx).Elem().FieldByName("dc").Pointer())
}

// locks holds a lock for 50 ms once all four wait for it.
func locks() {
	var mu sync.Mutex
	mu.Lock()
	go func() {
		for atomic.LoadInt32((*int32)(unsafe.Pointer(&mu)))>>3 < 4 { // sync.mutexWaiterShift
			time.Sleep(time.Millisecond)
		}
		time.Sleep(50 * time.Millisecond)
		mu.Unlock()
	}()
	together(4, func() { mu.Lock(); mu.Unlock() })
}

func closedPort() string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	defer l.Close()
	return l.Addr().String()
}

// broken answers with a header that is none.
func broken() string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	go func() {
		for {
			c, err := l.Accept()
			check(err)
			c.Read(make([]byte, 4096))
			io.WriteString(c, "HTTP/1.1 200 OK\r\nno colon\r\n\r\n")
			c.Close()
		}
	}()
	return l.Addr().String()
}

// other is a transport that is not net/http's: it answers, or fails.
type other struct{ err error }

func (o other) RoundTrip(r *http.Request) (*http.Response, error) {
	if o.err != nil {
		return nil, o.err
	}
	return &http.Response{StatusCode: 204, Body: http.NoBody, Request: r}, nil
}

// 3,000 dials, each of another host, where nobody listens.
func hosts() {
	for i := 0; i < 3000; i++ {
		if c, err := net.Dial("tcp", fmt.Sprintf("127.77.%d.%d:1", i/250, i%250+1)); err == nil {
			c.Close()
		}
	}
}

func main() {
	sql.Register("none", drv{})
	db, err := sql.Open("none", "")
	check(err)
	db.SetMaxOpenConns(1)
	plain, secure := listen(false), listen(true)
	refused, bad := closedPort(), "http://"+broken()
	keep := client(&http.Transport{})
	fresh := client(&http.Transport{DisableKeepAlives: true})
	narrow := client(&http.Transport{MaxConnsPerHost: 1})
	h2 := client(&http.Transport{ForceAttemptHTTP2: true})
	http1 := "http://localhost:" + plain
	https := "https://localhost:" + secure
	do := map[string]func(){
		"fresh":   func() { times(30, func() { get(fresh, http1+"/") }) },
		"keep":    func() { times(50, func() { get(keep, http1+"/") }) },
		"tls":     func() { times(20, func() { get(fresh, https+"/") }) },
		"h2":      func() { times(40, func() { get(h2, https+"/") }) },
		"refused": func() { times(5, func() { get(fresh, "http://"+refused+"/") }) },
		"moved":   func() { times(7, func() { get(keep, http1+"/moved") }) },
		"broken":  func() { times(5, func() { get(fresh, bad) }) },
		"answers": func() { times(4, func() { get(&http.Client{Transport: other{}}, http1) }) },
		"fails":   func() { times(2, func() { get(&http.Client{Transport: other{io.EOF}}, http1) }) },
		"slow":    func() { times(3, func() { get(keep, http1+"/slow") }) },
		"body":    func() { times(3, func() { get(keep, http1+"/body") }) },
		"narrow":  func() { together(6, func() { get(narrow, http1+"/slow") }) },
		"sql":     func() { queries(db) },
		"begin":   func() { transaction(db) },
		"commit":  func() { check(kept.Commit()) },
		"locks":   locks,
		"hosts":   hosts,
	}
	fmt.Println("plain", plain)
	fmt.Println("secure", secure)
	fmt.Println("refused", refused)
	fmt.Println("READY")
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		do[in.Text()]()
		fmt.Println("DONE")
	}
}

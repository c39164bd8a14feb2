// SPDX-License-Identifier: BSD-2-Clause

package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

var (
	dns       *dnsServer
	resolver  *net.Resolver
	authority *x509.CertPool
	tlsDelay  int64                 // ns, atomic: before the server answers a hello
	addrs     = map[string]string{} // "h1", "tls", "h2", "unix", "proxy", "bad", "raw", "stall"
	stalled   stallList
	gate      = newGate()
	entered   int64 // atomic: handlers that hang
)

// startServers starts the resolver, and a server for each way to be asked.
func startServers() (err error) {
	if dns, err = newDNSServer(); err != nil {
		return err
	}
	resolver = dns.resolver()
	good, bad, err := certificates()
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/", handle)
	mux.HandleFunc("/topsecretpath/fast", handleFast)
	declared("handler", handle)
	declared("fast_handler", handleFast)
	noH2 := map[string]func(*http.Server, *tls.Conn, http.Handler){}
	for _, s := range []struct {
		name string
		cert *tls.Certificate
		next map[string]func(*http.Server, *tls.Conn, http.Handler)
		do   http.Handler
	}{
		{"h1", nil, nil, mux}, {"h1b", nil, nil, mux}, {"unix", nil, nil, mux}, {"proxy", nil, nil, http.HandlerFunc(forward)},
		{"tls", good, noH2, mux}, {"h2", good, nil, mux}, {"bad", bad, noH2, mux},
	} {
		l, err := listen(s.name)
		if err != nil {
			return err
		}
		server := &http.Server{Handler: s.do, TLSNextProto: s.next, ErrorLog: log.New(io.Discard, "", 0)}
		if s.cert == nil {
			go server.Serve(l)
			continue
		}
		server.TLSConfig = tlsConfig(s.cert)
		go server.ServeTLS(l, "", "")
	}
	if err := serveRaw(good); err != nil {
		return err
	}
	return stalled.listen()
}

func listen(name string) (net.Listener, error) {
	network, at := "tcp", "127.0.0.1:0"
	if name == "unix" {
		// Of the abstract kind: no file stays behind.
		network, at = "unix", fmt.Sprintf("@netload-%d", os.Getpid())
	}
	l, err := net.Listen(network, at)
	if err == nil {
		addrs[name] = l.Addr().String()
	}
	return l, err
}

func tlsConfig(cert *tls.Certificate) *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{*cert},
		SessionTicketsDisabled: true,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			time.Sleep(time.Duration(atomic.LoadInt64(&tlsDelay)))
			return nil, nil
		}}
}

// serveRaw shakes hands with whoever dials, and then waits for the end.
func serveRaw(cert *tls.Certificate) error {
	l, err := listen("raw")
	if err != nil {
		return err
	}
	config := tlsConfig(cert)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				if t := tls.Server(c, config); t.Handshake() == nil {
					_, _ = io.Copy(io.Discard, t)
				}
			}()
		}
	}()
	return nil
}

// certificates are one of the authority that the clients trust, and one of
// nobody.
func certificates() (good, bad *tls.Certificate, err error) {
	ca, caKey, err := newCert(nil, nil)
	if err != nil {
		return nil, nil, err
	}
	authority = x509.NewCertPool()
	authority.AddCert(ca)
	if good, err = newLeaf(ca, caKey); err != nil {
		return nil, nil, err
	}
	other, otherKey, err := newCert(nil, nil)
	if err != nil {
		return nil, nil, err
	}
	bad, err = newLeaf(other, otherKey)
	return good, bad, err
}

func newLeaf(ca *x509.Certificate, caKey *ecdsa.PrivateKey) (*tls.Certificate, error) {
	c, k, err := newCert(ca, caKey)
	if err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: [][]byte{c.Raw}, PrivateKey: k}, nil
}

// newCert signs with ca, or with itself.
func newCert(ca *x509.Certificate, caKey *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey, error) {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "netload"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		DNSNames: []string{"netload.test", "*.netload.test"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	if ca == nil {
		c.Subject.CommonName, c.IsCA, c.BasicConstraintsValid = "netload authority", true, true
		c.KeyUsage |= x509.KeyUsageCertSign
		ca, caKey = c, k
	}
	der, err := x509.CreateCertificate(rand.Reader, c, ca, &k.PublicKey, caKey)
	if err != nil {
		return nil, nil, err
	}
	parsed, err := x509.ParseCertificate(der)
	return parsed, k, err
}

// gateway holds goroutines until it is opened; then there is a new one.
type gateway struct {
	mu sync.Mutex
	ch chan struct{}
}

func newGate() *gateway { return &gateway{ch: make(chan struct{})} }

func (g *gateway) wait() <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.ch
}

func (g *gateway) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	close(g.ch)
	g.ch = make(chan struct{})
}

func handleFast(w http.ResponseWriter, r *http.Request) { handle(w, r) }

// handle does what the query asks for: wait before the header (ttfb) and
// between the halves of the body (bodyms), send a body of so many bytes, read
// the request's late (readwait), hang, or break off.
func handle(w http.ResponseWriter, r *http.Request) {
	q := func(key string) int {
		n, _ := strconv.Atoi(r.URL.Query().Get(key))
		return n
	}
	fault := r.URL.Query().Get("fault")
	time.Sleep(time.Duration(q("readwait")) * time.Millisecond)
	_, _ = io.Copy(io.Discard, r.Body)
	time.Sleep(time.Duration(q("ttfb")) * time.Millisecond)
	switch fault {
	case "hang":
		hold(r)
	case "abort":
		panic(http.ErrAbortHandler)
	}
	half := make([]byte, q("body")/2+1)
	if fault != "drip" {
		w.Header().Set("Content-Length", strconv.Itoa(2*len(half)))
	}
	_, _ = w.Write(half)
	w.(http.Flusher).Flush()
	time.Sleep(time.Duration(q("bodyms")) * time.Millisecond)
	switch fault {
	case "hangbody":
		hold(r)
	case "drip":
		drip(w, r)
		return
	case "reset":
		reset(w)
	}
	_, _ = w.Write(half)
}

// reset ends the connection, or the stream of HTTP/2, in the middle.
func reset(w http.ResponseWriter) {
	if h, is := w.(http.Hijacker); is {
		if c, _, err := h.Hijack(); err == nil {
			if t, is := c.(*net.TCPConn); is {
				t.SetLinger(0)
			}
			c.Close()
		}
	}
	panic(http.ErrAbortHandler)
}

// hold is a handler that hangs, until the gate opens or nobody waits any more.
func hold(r *http.Request) {
	atomic.AddInt64(&entered, 1)
	defer atomic.AddInt64(&entered, -1)
	select {
	case <-gate.wait():
	case <-r.Context().Done():
	}
}

// drip sends a byte now and then.
func drip(w http.ResponseWriter, r *http.Request) {
	atomic.AddInt64(&entered, 1)
	defer atomic.AddInt64(&entered, -1)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for n := 0; n < 200; n++ {
		select {
		case <-gate.wait():
			return
		case <-r.Context().Done():
			return
		case <-tick.C:
			_, _ = w.Write([]byte{'.'})
			w.(http.Flusher).Flush()
		}
	}
}

// forward is an HTTP proxy that knows every name.
func forward(w http.ResponseWriter, r *http.Request) {
	to := net.JoinHostPort("127.0.0.1", portOf(r.Host))
	if r.Method == http.MethodConnect {
		tunnel(w, to)
		return
	}
	out := r.Clone(r.Context())
	out.URL.Host, out.RequestURI = to, ""
	answer, err := behindProxy.RoundTrip(out)
	if err != nil {
		http.Error(w, "no answer", http.StatusBadGateway)
		return
	}
	defer answer.Body.Close()
	w.WriteHeader(answer.StatusCode)
	_, _ = io.Copy(w, answer.Body)
}

var behindProxy = &http.Transport{MaxIdleConnsPerHost: 1000}

func tunnel(w http.ResponseWriter, to string) {
	out, err := net.Dial("tcp", to)
	if err != nil {
		http.Error(w, "no connection", http.StatusBadGateway)
		return
	}
	defer out.Close()
	in, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		return
	}
	defer in.Close()
	if _, err := in.Write([]byte("HTTP/1.1 200 OK\r\n\r\n")); err != nil {
		return
	}
	done := make(chan struct{}, 2)
	pipe := func(a, b net.Conn) {
		_, _ = io.Copy(a, b)
		done <- struct{}{}
	}
	go pipe(out, in)
	go pipe(in, out)
	<-done
}

// stallList is connections that were accepted and are never read.
type stallList struct {
	mu    sync.Mutex
	conns []net.Conn
}

func (s *stallList) listen() error {
	l, err := listen("stall")
	if err != nil {
		return err
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.conns = append(s.conns, c)
			s.mu.Unlock()
		}
	}()
	return nil
}

func (s *stallList) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

func (s *stallList) release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.conns {
		c.Close()
	}
	s.conns = nil
}

func cmdWhere(options) (answer, error) {
	placesMu.Lock()
	defer placesMu.Unlock()
	of := map[string]place{}
	for name, p := range places {
		of[name] = p
	}
	return answer{"places": of, "addrs": addrs}, nil
}

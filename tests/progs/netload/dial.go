// SPDX-License-Identifier: BSD-2-Clause

package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http/httptrace"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

var connectDelay int64 // ns, atomic: of every dial, before its connect

func cmdSet(o options) (answer, error) {
	for name, at := range map[string]*int64{"dns": &dns.delay, "connect": &connectDelay, "tls": &tlsDelay} {
		if _, there := o[name]; there {
			atomic.StoreInt64(at, int64(o.ms(name)))
		}
	}
	return nil, nil
}

// dialer is what all clients here dial with.
func dialer() *net.Dialer {
	return &net.Dialer{Resolver: resolver, Control: func(network, _ string, _ syscall.RawConn) error {
		if d := atomic.LoadInt64(&connectDelay); d > 0 && strings.HasPrefix(network, "tcp") {
			time.Sleep(time.Duration(d))
		}
		return nil
	}}
}

// dialWatched is what transports dial with.
func dialWatched(ctx context.Context, network, addr string) (net.Conn, error) {
	return dialMeasured(ctx, dialer(), network, addr)
}

// dialMeasured dials, and measures the look-up and the connect.
func dialMeasured(ctx context.Context, d *net.Dialer, network, addr string) (net.Conn, error) {
	var mu sync.Mutex
	var asked, known time.Time
	var unknown error
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		DNSStart: func(httptrace.DNSStartInfo) {
			mu.Lock()
			asked = time.Now()
			mu.Unlock()
		},
		DNSDone: func(i httptrace.DNSDoneInfo) {
			mu.Lock()
			known, unknown = time.Now(), i.Err
			mu.Unlock()
		},
	})
	begin := time.Now()
	c, err := d.DialContext(ctx, network, addr)
	end := time.Now()
	mu.Lock()
	defer mu.Unlock()
	if !asked.IsZero() && !known.IsZero() {
		addPhase(addr, "dns", known.Sub(asked), unknown != nil)
		begin = known
	}
	if unknown == nil && (asked.IsZero() || !known.IsZero()) && network == "tcp" {
		addPhase(addr, "connect", end.Sub(begin), err != nil)
	}
	return c, err
}

// cmdDial dials outside net/http.
func cmdDial(o options) (answer, error) {
	n, conc := o.number("n", 1), o.number("conc", 32)
	withTLS := o.number("tls", 0) != 0
	port := portOf(addrs["h1"])
	if withTLS {
		port = portOf(addrs["raw"])
	}
	with := dialer()
	if o.text("resolver", "") == "system" {
		with.Resolver = nil
	}
	addr := net.JoinHostPort(o.text("host", "dial.netload.test"), o.text("port", port))
	begin := time.Now()
	failed := parallel(n, conc, o.number("rate", 0), func() error {
		c, err := dialPlain(with, addr)
		if err != nil {
			return err
		}
		defer c.Close()
		// A reset instead of a FIN: thousands of ports are free again at once.
		if t, is := c.(*net.TCPConn); is {
			t.SetLinger(0)
		}
		if withTLS {
			return shake(c, addr)
		}
		return nil
	})
	return answer{"failed": failed, "host": addr, "seconds": time.Since(begin).Seconds()}, nil
}

func dialPlain(d *net.Dialer, addr string) (net.Conn, error) {
	return dialMeasured(context.Background(), d, "tcp", addr)
}

func shake(c net.Conn, addr string) error {
	t := tls.Client(c, &tls.Config{RootCAs: authority, ServerName: hostOf(addr)})
	begin := time.Now()
	err := t.HandshakeContext(context.Background())
	addPhase(addr, "tls", time.Since(begin), err != nil)
	return err
}

// parallel calls do n times, conc at once, at most rate times a second (0: as
// fast as it goes), and returns how many failed.
func parallel(n, conc, rate int, do func() error) int {
	var next, failed int64
	var wg sync.WaitGroup
	begin := time.Now()
	if conc > n {
		conc = n
	}
	for i := 0; i < conc; i++ {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for {
				k := atomic.AddInt64(&next, 1) - 1
				if k >= int64(n) {
					return
				}
				if rate > 0 {
					time.Sleep(time.Until(begin.Add(time.Duration(k) * time.Second / time.Duration(rate))))
				}
				if do() != nil {
					atomic.AddInt64(&failed, 1)
				}
			}
		}()
	}
	wg.Wait()
	return int(failed)
}

func hostOf(addr string) string {
	h, _, err := net.SplitHostPort(addr)
	if err != nil {
		panic(err)
	}
	return h
}

func portOf(addr string) string {
	_, p, err := net.SplitHostPort(addr)
	if err != nil {
		panic(err)
	}
	return p
}

// blackHole is an address whose queue of connections to accept is full: the
// kernel drops what asks for another, which tries again and again.
type blackHole struct {
	addr string
	fd   int
	in   []int
}

func newBlackHole(ip net.IP, port int) (*blackHole, error) {
	family, sa := syscall.AF_INET, syscall.Sockaddr(nil)
	if v4 := ip.To4(); v4 != nil {
		a := &syscall.SockaddrInet4{Port: port}
		copy(a.Addr[:], v4)
		sa = a
	} else {
		a := &syscall.SockaddrInet6{Port: port}
		copy(a.Addr[:], ip)
		family, sa = syscall.AF_INET6, a
	}
	fd, err := syscall.Socket(family, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	h := &blackHole{fd: fd}
	if err = syscall.Bind(fd, sa); err == nil {
		err = syscall.Listen(fd, 0)
	}
	if err == nil {
		sa, err = syscall.Getsockname(fd)
	}
	// One fits; the kernel lets one more through now and then.
	for i := 0; i < 3 && err == nil; i++ {
		c, e := syscall.Socket(family, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC|syscall.SOCK_NONBLOCK, 0)
		if e == nil {
			h.in = append(h.in, c)
			if e = syscall.Connect(c, sa); e == syscall.EINPROGRESS {
				e = nil
			}
		}
		err = e
	}
	if err != nil {
		h.close()
		return nil, fmt.Errorf("black hole: %v", err)
	}
	switch a := sa.(type) {
	case *syscall.SockaddrInet4:
		port = a.Port
	case *syscall.SockaddrInet6:
		port = a.Port
	}
	h.addr = net.JoinHostPort(ip.String(), fmt.Sprint(port))
	return h, nil
}

// close refuses those who still try.
func (h *blackHole) close() {
	syscall.Close(h.fd)
	for _, c := range h.in {
		syscall.Close(c)
	}
}

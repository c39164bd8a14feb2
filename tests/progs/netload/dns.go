// SPDX-License-Identifier: BSD-2-Clause

package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// dnsServer answers every name with the loopback address, after a delay.  The
// first label of a name may ask for something else: nx… does not exist, fail…
// cannot be found out, silent… gets no answer (until release), two… has an
// IPv6 address as well.
type dnsServer struct {
	conn  *net.UDPConn
	delay int64 // ns, atomic

	mu   sync.Mutex
	kept []dnsQuery // not answered
}

type dnsQuery struct {
	from  *net.UDPAddr
	msg   []byte // header and question
	name  string
	qtype uint16
}

const (
	typeA    = 1
	typeAAAA = 28

	rcodeServFail = 2
	rcodeNXDomain = 3
)

func newDNSServer() (*dnsServer, error) {
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return nil, err
	}
	conn.SetReadBuffer(4 << 20)
	s := &dnsServer{conn: conn}
	go s.serve()
	return s, nil
}

func (s *dnsServer) serve() {
	b := make([]byte, 2048)
	for {
		n, from, err := s.conn.ReadFromUDP(b)
		if err != nil {
			return
		}
		q, ok := parseQuery(b[:n], from)
		if !ok {
			continue
		}
		if strings.HasPrefix(q.name, "silent") {
			s.mu.Lock()
			s.kept = append(s.kept, q)
			s.mu.Unlock()
			continue
		}
		if d := time.Duration(atomic.LoadInt64(&s.delay)); d > 0 {
			time.AfterFunc(d, func() { s.answer(q) })
		} else {
			s.answer(q)
		}
	}
}

func parseQuery(b []byte, from *net.UDPAddr) (dnsQuery, bool) {
	if len(b) < 12 || binary.BigEndian.Uint16(b[4:]) != 1 {
		return dnsQuery{}, false
	}
	var labels []string
	at := 12
	for at < len(b) && b[at] != 0 {
		n := int(b[at])
		if n > 63 || at+1+n >= len(b) {
			return dnsQuery{}, false
		}
		labels = append(labels, string(b[at+1:at+1+n]))
		at += 1 + n
	}
	if at+5 > len(b) {
		return dnsQuery{}, false
	}
	return dnsQuery{from: from, msg: append([]byte(nil), b[:at+5]...),
		name:  strings.ToLower(strings.Join(labels, ".")),
		qtype: binary.BigEndian.Uint16(b[at+1:])}, true
}

func (s *dnsServer) answer(q dnsQuery) {
	var address []byte
	rcode := byte(0)
	switch {
	case strings.HasPrefix(q.name, "nx"):
		rcode = rcodeNXDomain
	case strings.HasPrefix(q.name, "fail"):
		rcode = rcodeServFail
	case q.qtype == typeA:
		address = []byte{127, 0, 0, 1}
	case q.qtype == typeAAAA && strings.HasPrefix(q.name, "two"):
		address = net.IPv6loopback
	}
	s.send(q, rcode, address)
}

func (s *dnsServer) send(q dnsQuery, rcode byte, address []byte) {
	m := append([]byte(nil), q.msg...)
	m[2] = 0x84 | m[2]&1 // an answer with authority; recursion as asked
	m[3] = 0x80 | rcode
	for i := 6; i < 12; i++ {
		m[i] = 0
	}
	if address != nil {
		m[7] = 1
		m = append(m, 0xc0, 12, 0, byte(q.qtype), 0, 1, 0, 0, 0, 0, 0, byte(len(address)))
		m = append(m, address...)
	}
	// Somebody who no longer waits is no error.
	_, _ = s.conn.WriteToUDP(m, q.from)
}

// release says of what was kept that it does not exist.
func (s *dnsServer) release() {
	s.mu.Lock()
	kept := s.kept
	s.kept = nil
	s.mu.Unlock()
	for _, q := range kept {
		s.send(q, rcodeNXDomain, nil)
	}
}

// resolver asks the server, with Go's own resolver.
// patient waits for an answer to silent… for as long as it takes, not for the ten
// seconds of /etc/resolv.conf, which a busy machine needs for other things.
type patient struct{ *net.UDPConn }

func (c patient) Write(b []byte) (int, error) {
	if bytes.Contains(b, []byte("\x06silent")) {
		c.SetDeadline(time.Time{})
	}
	return c.UDPConn.Write(b)
}

func (s *dnsServer) resolver() *net.Resolver {
	to := s.conn.LocalAddr().String()
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		c, err := d.DialContext(ctx, "udp", to)
		if err != nil {
			return nil, err
		}
		return patient{c.(*net.UDPConn)}, nil
	}}
}

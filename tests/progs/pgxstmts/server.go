// SPDX-License-Identifier: BSD-2-Clause
package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"io"
	"net"
	"strings"
	"time"
)

// As much of PostgreSQL as pgx needs.
type server struct {
	in       *bufio.Reader
	out      []byte
	c        net.Conn
	prepared map[string]string
	now      string
	skip     bool // to the next Sync, for there was an error
}

func dial(context.Context, string, string) (net.Conn, error) {
	x, y := net.Pipe()
	go (&server{in: bufio.NewReader(y), c: y, prepared: map[string]string{}}).run()
	return x, nil
}

func (s *server) say(kind byte, body ...byte) {
	s.out = append(s.out, kind)
	s.out = binary.BigEndian.AppendUint32(s.out, uint32(4+len(body)))
	s.out = append(s.out, body...)
}

func (s *server) read(kind bool) (byte, []byte, error) {
	var head [5]byte
	from := 1
	if kind {
		from = 0
	}
	if _, err := io.ReadFull(s.in, head[from:]); err != nil {
		return 0, nil, err
	}
	body := make([]byte, binary.BigEndian.Uint32(head[1:])-4)
	_, err := io.ReadFull(s.in, body)
	return head[0], body, err
}

func (s *server) run() {
	defer s.c.Close()
	if _, _, err := s.read(false); err != nil {
		return
	}
	s.say('R', 0, 0, 0, 0) // AuthenticationOk
	s.say('S', []byte("standard_conforming_strings\x00on\x00")...)
	s.say('S', []byte("client_encoding\x00UTF8\x00")...)
	s.say('Z', 'I')
	for {
		if s.in.Buffered() == 0 && len(s.out) > 0 {
			s.c.Write(s.out)
			s.out = s.out[:0]
		}
		kind, body, err := s.read(true)
		if err != nil || kind == 'X' {
			return
		}
		s.handle(kind, body)
	}
}

func (s *server) fails(word string) bool {
	if !strings.Contains(s.now, word) {
		return false
	}
	s.say('E', []byte("SERROR\x00C42601\x00M"+word+"\x00\x00")...)
	s.skip = true
	return true
}

func text(b []byte) (string, []byte) {
	s, _, _ := strings.Cut(string(b), "\x00")
	return s, b[len(s)+1:]
}

func (s *server) handle(kind byte, body []byte) {
	switch {
	case kind == 'S':
		s.skip = false
		s.say('Z', 'I')
	case kind == 'Q':
		s.simple(body)
	case s.skip:
	case kind == 'P':
		name, rest := text(body)
		s.now, _ = text(rest)
		s.prepared[name] = s.now
		if !s.fails("unprepared") {
			s.say('1')
		}
	case kind == 'D':
		s.describe(body)
	case kind == 'B':
		_, rest := text(body)
		name, _ := text(rest)
		s.now = s.prepared[name]
		if !s.fails("bad") {
			s.say('2')
		}
	case kind == 'E':
		s.rows()
	case kind == 'C':
		s.say('3')
	}
}

func (s *server) describe(body []byte) {
	if body[0] == 'S' {
		name, _ := text(body[1:])
		s.now = s.prepared[name]
		s.say('t', 0, 1, 0, 0, 0, 25) // one parameter, a text
	}
	s.columns()
}

func (s *server) columns() {
	s.say('T', 0, 1, 'n', 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 25, 255, 255, 255, 255, 255, 255, 0, 0)
}

func (s *server) rows() {
	if strings.Contains(s.now, "slow") {
		time.Sleep(3 * time.Millisecond)
	}
	s.say('D', 0, 1, 0, 0, 0, 2, 'h', 'i')
	s.say('C', []byte("SELECT 1\x00")...)
}

func (s *server) simple(body []byte) {
	s.now, _ = text(body)
	if !s.fails("bad") && !s.fails("unprepared") {
		if strings.HasPrefix(s.now, "select") {
			s.columns()
			s.rows()
		} else { // a ping
			s.say('I')
		}
	}
	s.skip = false
	s.say('Z', 'I')
}

// SPDX-License-Identifier: BSD-2-Clause

package main

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/net/http2"
)

// ignore makes a socket lose all that comes in: nothing is acknowledged any more.
func ignore(c *net.TCPConn) {
	raw, err := c.SyscallConn()
	must(err)
	must(raw.Control(func(fd uintptr) {
		must(syscall.AttachLsf(int(fd), []syscall.SockFilter{{Code: syscall.BPF_RET | syscall.BPF_K}}))
	}))
}

// socket is the line of the kernel's table for a connection, as one of its ends sees it.
func socket(local, remote net.Addr) []string {
	text, err := os.ReadFile("/proc/net/tcp")
	must(err)
	port := func(a net.Addr) string { return fmt.Sprintf(":%04X", a.(*net.TCPAddr).Port) }
	for _, line := range strings.Split(string(text), "\n") {
		f := strings.Fields(line)
		if len(f) > 6 && strings.HasSuffix(f[1], port(local)) && strings.HasSuffix(f[2], port(remote)) {
			return f
		}
	}
	panic("the connection is gone")
}

// queued is how many bytes this end has sent that are not acknowledged.
func queued(c net.Conn) int64 {
	n, err := strconv.ParseInt(strings.Split(socket(c.LocalAddr(), c.RemoteAddr())[4], ":")[0], 16, 64)
	must(err)
	return n
}

// resent is how often in a row the other end has sent the same again.
func resent(c net.Conn) int64 {
	n, err := strconv.ParseInt(socket(c.RemoteAddr(), c.LocalAddr())[6], 16, 64)
	must(err)
	return n
}

// serveDeaf gives leave to send without end, and reads nothing.
func serveDeaf() string {
	s := httptest.NewUnstartedServer(nil)
	s.EnableHTTP2 = true
	s.StartTLS()
	config := &tls.Config{Certificates: s.TLS.Certificates, NextProtos: []string{"h2"}}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(err)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_ = c.(*net.TCPConn).SetReadBuffer(4096)
			go func() {
				t := tls.Server(c, config)
				_, err := io.ReadFull(t, make([]byte, len(http2.ClientPreface)))
				must(err)
				f := http2.NewFramer(t, t)
				must(f.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1<<31 - 1}))
				must(f.WriteWindowUpdate(0, 1<<31-1-65535))
				must(f.WriteSettingsAck())
			}()
		}
	}()
	return l.Addr().String()
}

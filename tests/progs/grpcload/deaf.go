// SPDX-License-Identifier: BSD-2-Clause

package main

import (
	"net"
	"sync"
	"syscall"
)

// deaf is a listener whose connections can be made to hear nothing any more.
type deaf struct {
	net.Listener
	mu    sync.Mutex
	conns []*net.TCPConn
}

var heard deaf // of the server

func (d *deaf) Accept() (net.Conn, error) {
	c, err := d.Listener.Accept()
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	d.conns = append(d.conns, c.(*net.TCPConn))
	d.mu.Unlock()
	return c, nil
}

// deafen lets the kernel drop what comes in before TCP sees it: as if the host was gone.
func (d *deaf) deafen() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, c := range d.conns {
		raw, err := c.SyscallConn()
		if err != nil {
			return err
		}
		drop := []syscall.SockFilter{{Code: syscall.BPF_RET | syscall.BPF_K}}
		if e := raw.Control(func(fd uintptr) { err = syscall.AttachLsf(int(fd), drop) }); e != nil {
			return e
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// SPDX-License-Identifier: BSD-2-Clause

// otelctx publishes a process context as an OpenTelemetry SDK does (OTEP 4719): in a mapping
// named OTEL_CTX.  It prints `READY pid=N` and answers every line on its standard input with
// one line of JSON:
//
//	publish HEX   this payload, at the next time stamp
//	raw HEX       these bytes in place of the header, whatever they are
//	begin         time stamp 0: one is being written
//	where         the address of the last payload
//	drop          no mapping any more
package main

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"os"
	"runtime"
	"strings"
	"syscall"
	"unsafe"
)

const (
	vma     = 0x53564d41 // PR_SET_VMA
	sealing = 3          // MFD_CLOEXEC | MFD_ALLOW_SEALING
)

var (
	header  []byte
	payload []byte
	stamp   uint64
	number  = map[string]uintptr{"amd64": 319, "arm64": 279}[runtime.GOARCH] // memfd_create
	text    = [9]byte{'O', 'T', 'E', 'L', '_', 'C', 'T', 'X'}
)

func mapping() error {
	if header != nil {
		return nil
	}
	fd, _, e := syscall.Syscall(number, uintptr(unsafe.Pointer(&text)), sealing, 0)
	if e != 0 {
		return e
	}
	defer syscall.Close(int(fd))
	if err := syscall.Ftruncate(int(fd), 4096); err != nil {
		return err
	}
	m, err := syscall.Mmap(int(fd), 0, 4096, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_PRIVATE)
	header = m
	return err
}

func name() { // a kernel may not know it
	syscall.Syscall6(syscall.SYS_PRCTL, vma, 0, uintptr(unsafe.Pointer(&header[0])), 4096,
		uintptr(unsafe.Pointer(&text)), 0)
}

func do(words []string) error {
	var bytes []byte
	if len(words) > 1 {
		var err error
		if bytes, err = hex.DecodeString(words[1]); err != nil {
			return err
		}
	}
	if words[0] != "drop" {
		if err := mapping(); err != nil {
			return err
		}
	}
	switch words[0] {
	case "publish":
		payload = append(make([]byte, 0, len(bytes)+1), bytes...)
		stamp++
		binary.LittleEndian.PutUint64(header[16:], 0)
		copy(header, text[:8])
		binary.LittleEndian.PutUint32(header[8:], 2)
		binary.LittleEndian.PutUint32(header[12:], uint32(len(payload)))
		binary.LittleEndian.PutUint64(header[24:], uint64(uintptr(unsafe.Pointer(&payload[:1][0]))))
		binary.LittleEndian.PutUint64(header[16:], stamp)
		name()
	case "raw":
		copy(header, bytes)
		name()
	case "begin":
		binary.LittleEndian.PutUint64(header[16:], 0)
	case "where":
	case "drop":
		err := syscall.Munmap(header)
		header = nil
		return err
	default:
		return fmt.Errorf("%s?", words[0])
	}
	return nil
}

func main() {
	fmt.Printf("READY pid=%d\n", os.Getpid())
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(nil, 1<<20)
	for in.Scan() {
		err := do(strings.Fields(in.Text()))
		at := uint64(0)
		if len(payload) > 0 {
			at = uint64(uintptr(unsafe.Pointer(&payload[0])))
		}
		if err != nil {
			fmt.Printf("{\"ok\":false,\"error\":%q}\n", err.Error())
		} else {
			fmt.Printf("{\"ok\":true,\"payload\":%d}\n", at)
		}
	}
}

// SPDX-License-Identifier: BSD-2-Clause

package main

import (
	"bytes"
	"debug/dwarf"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"strings"
)

const absent = -1

// funcIDs are the ids that struct layout has a member for, in its order:
// member, name up to 1.20 in package runtime, name since 1.21 in internal/abi.
var funcIDs = []struct{ member, old, new string }{
	{"func_id_wrapper", "runtime.funcID_wrapper", "internal/abi.FuncIDWrapper"},
	{"func_id_goexit", "runtime.funcID_goexit", "internal/abi.FuncID_goexit"},
	{"func_id_systemstack", "runtime.funcID_systemstack", "internal/abi.FuncID_systemstack"},
	{"func_id_mcall", "runtime.funcID_mcall", "internal/abi.FuncID_mcall"},
	{"func_id_sigpanic", "runtime.funcID_sigpanic", "internal/abi.FuncID_sigpanic"},
	{"func_id_morestack", "runtime.funcID_morestack", "internal/abi.FuncID_morestack"},
	{"func_id_asyncpreempt", "runtime.funcID_asyncPreempt", "internal/abi.FuncID_asyncPreempt"},
}

// variableOf names a variable of a type without a name of its own:
// runtime.work is of an anonymous struct in releases before workType.
var variableOf = map[string]string{"runtime.workType": "runtime.work"}

// mayLack are the types that older releases do not have.
var mayLack = map[string]bool{
	"runtime.cleanupQueue": true, // 1.25
	"runtime.cleanupBlock": true,
	"runtime.xRegState":    true, // 1.26

	"net/http.pattern":                      true, // 1.22
	"net/http/internal/http2.ClientRequest": true, // 1.27
}

// row is what one build says.
type row struct {
	arch        string
	rel         release
	off         []int64 // by field, bytes or absent
	size        []int64 // of the field itself, bytes
	typeSize    []int64 // of the type it is in, bytes
	waitReasons []string
	funcID      []int64
}

func (r *row) present() int {
	n := 0
	for _, o := range r.off {
		if o != absent {
			n++
		}
	}
	return n
}

func readRow(bin string, rel release, arch string, fields []field) (*row, error) {
	f, err := elf.Open(bin)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	facts, err := readDwarf(f, fields)
	if err != nil {
		return nil, err
	}
	r := &row{arch: arch, rel: rel}
	for _, fd := range fields {
		if err := r.addField(facts, fd); err != nil {
			return nil, err
		}
	}
	for _, id := range funcIDs {
		v, ok := facts.consts[id.new]
		if !ok {
			v, ok = facts.consts[id.old]
		}
		if !ok {
			return nil, fmt.Errorf("no constant '%s' nor '%s'", id.new, id.old)
		}
		r.funcID = append(r.funcID, v)
	}
	r.waitReasons, err = readWaitReasons(f)
	return r, err
}

func (r *row) addField(facts *facts, fd field) error {
	var st *dwarf.StructType
	for _, name := range strings.Split(fd.typ, "|") {
		if st == nil {
			st = facts.types[name]
		}
	}
	if st == nil && !mayLack[fd.typ] {
		return fmt.Errorf("no type '%s'", fd.typ)
	}
	if st == nil {
		r.off = append(r.off, absent)
		r.size = append(r.size, 0)
		r.typeSize = append(r.typeSize, 0)
		return nil
	}
	off, size := int64(absent), int64(0)
	for _, path := range fd.paths {
		var ok bool
		if off, size, ok = findPath(st, path); ok {
			break
		}
	}
	r.off = append(r.off, off)
	r.size = append(r.size, size)
	r.typeSize = append(r.typeSize, st.ByteSize)
	return nil
}

// findPath resolves "stack.lo" to its offset in st and its size.
func findPath(st *dwarf.StructType, path string) (off, size int64, ok bool) {
	if path == "" {
		return st.ByteSize, 0, true
	}
	for path != "" {
		var name string
		name, path, _ = strings.Cut(path, ".")
		f := member(st, name)
		if f == nil {
			return absent, 0, false
		}
		off += f.ByteOffset
		size = f.Type.Size()
		if path == "" {
			return off, size, !isWrapper(f.Type)
		}
		if st, ok = bare(f.Type).(*dwarf.StructType); !ok {
			return absent, 0, false
		}
	}
	return absent, 0, false
}

// isWrapper tells an atomic.Uint32 and its like, whose word is .value: the
// alternative path says so, and the check of sizes then sees the word.
func isWrapper(t dwarf.Type) bool {
	st, ok := bare(t).(*dwarf.StructType)
	return ok && strings.Contains(st.StructName, "/atomic.") && member(st, "value") != nil
}

func member(st *dwarf.StructType, name string) *dwarf.StructField {
	for _, f := range st.Field {
		if f.Name == name {
			return f
		}
	}
	return nil
}

// bare looks through typedefs.
func bare(t dwarf.Type) dwarf.Type {
	for {
		td, ok := t.(*dwarf.TypedefType)
		if !ok {
			return t
		}
		t = td.Type
	}
}

type facts struct {
	types  map[string]*dwarf.StructType
	consts map[string]int64
}

func readDwarf(f *elf.File, fields []field) (*facts, error) {
	d, err := f.DWARF()
	if err != nil {
		return nil, err
	}
	wanted := map[string]bool{}
	for _, fd := range fields {
		for _, name := range strings.Split(fd.typ, "|") {
			wanted[name] = true
		}
	}
	ofVariable := map[string]string{}
	for typ, variable := range variableOf {
		ofVariable[variable] = typ
	}
	facts := &facts{map[string]*dwarf.StructType{}, map[string]int64{}}
	r := d.Reader()
	for {
		e, err := r.Next()
		if err != nil {
			return nil, err
		}
		if e == nil {
			return facts, nil
		}
		name, _ := e.Val(dwarf.AttrName).(string)
		switch e.Tag {
		case dwarf.TagStructType, dwarf.TagTypedef:
			if wanted[name] {
				facts.addType(d, name, e.Offset)
			}
		case dwarf.TagVariable:
			at, ok := e.Val(dwarf.AttrType).(dwarf.Offset)
			if typ := ofVariable[name]; ok && typ != "" && facts.types[typ] == nil {
				facts.addType(d, typ, at)
			}
		case dwarf.TagConstant:
			if v, ok := e.Val(dwarf.AttrConstValue).(int64); ok {
				facts.consts[name] = v
			}
		}
	}
}

func (fs *facts) addType(d *dwarf.Data, name string, at dwarf.Offset) {
	t, err := d.Type(at)
	if err != nil {
		return
	}
	if st, ok := bare(t).(*dwarf.StructType); ok && !st.Incomplete {
		fs.types[name] = st
	}
}

// readWaitReasons reads runtime.waitReasonStrings, an array of string
// headers.  The probe is linked at fixed addresses: the pointers are in the
// file as they are.
func readWaitReasons(f *elf.File) ([]string, error) {
	syms, err := f.Symbols()
	if err != nil {
		return nil, err
	}
	for _, s := range syms {
		if s.Name != "runtime.waitReasonStrings" {
			continue
		}
		raw := make([]byte, s.Size)
		if err := readAt(f, s.Value, raw); err != nil {
			return nil, err
		}
		var out []string
		for ; len(raw) >= 16; raw = raw[16:] {
			text := make([]byte, binary.LittleEndian.Uint64(raw[8:])&0xff)
			if err := readAt(f, binary.LittleEndian.Uint64(raw), text); err != nil {
				return nil, err
			}
			if !bytes.Equal(text, bytes.ToValidUTF8(text, nil)) {
				return nil, fmt.Errorf("wait reason %d is not text", len(out))
			}
			out = append(out, string(text))
		}
		return out, nil
	}
	return nil, fmt.Errorf("no symbol 'runtime.waitReasonStrings'")
}

func readAt(f *elf.File, addr uint64, dst []byte) error {
	if len(dst) == 0 {
		return nil
	}
	for _, p := range f.Progs {
		if p.Type == elf.PT_LOAD && addr >= p.Vaddr && addr+uint64(len(dst)) <= p.Vaddr+p.Filesz {
			_, err := p.ReadAt(dst, int64(addr-p.Vaddr))
			return err
		}
	}
	return fmt.Errorf("address %#x is not in the file", addr)
}

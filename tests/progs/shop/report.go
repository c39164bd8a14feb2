// SPDX-License-Identifier: BSD-2-Clause

package main

import (
	"bytes"
	"fmt"
	"net/http"
	"sync"
)

var reportBuffers = sync.Pool{New: func() interface{} { return &bytes.Buffer{} }}

// report writes the sales of the day.
func (s *Shop) report(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	takings, packed := s.takings, s.packed
	s.mu.Unlock()
	s.printReceipts(packed)
	if s.bugs["bigbuf"] {
		s.bigReport(w, takings, packed)
		return
	}
	b := reportBuffers.Get().(*bytes.Buffer)
	defer reportBuffers.Put(b)
	b.Reset()
	writeReport(b, takings, packed)
	// An error here is a client that went away.
	_, _ = w.Write(b.Bytes())
}

// bigReport makes room for the biggest report there could ever be.
func (s *Shop) bigReport(w http.ResponseWriter, takings, packed int) {
	nextLineIs("bigbuf")
	room := make([]byte, 10<<20)
	b := bytes.NewBuffer(room[:0])
	writeReport(b, takings, packed)
	_, _ = w.Write(b.Bytes())
}

func writeReport(b *bytes.Buffer, takings, packed int) {
	fmt.Fprintf(b, "packed,%d\ntakings,%d.%02d\n", packed, takings/100, takings%100)
	for hour := 0; hour < 24; hour++ {
		fmt.Fprintf(b, "%02d:00,%d\n", hour, takings/24)
	}
}

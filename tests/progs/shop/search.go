// SPDX-License-Identifier: BSD-2-Clause

package main

import "net/http"

// search lists the cheapest products with a tag.
func (s *Shop) search(w http.ResponseWriter, r *http.Request) {
	tag := r.FormValue("tag")
	if s.bugs["gcpressure"] {
		found := s.searchEverything(tag)
		s.reduced(found)
		writeJSON(w, found)
		return
	}
	found := s.byTag[tag]
	if len(found) > 10 {
		found = found[:10]
	}
	s.reduced(found)
	writeJSON(w, found)
}

// searchEverything copies the whole catalogue for each page of it: garbage.
func (s *Shop) searchEverything(tag string) []int {
	const pages = 20
	var found []int
	for page := 0; page < pages; page++ {
		nextLineIs("gcpressure")
		all := make([]product, len(s.products))
		copy(all, s.products)
		for _, p := range all[page*len(all)/pages : (page+1)*len(all)/pages] {
			if p.Tags[0] == tag && len(found) < 10 {
				found = append(found, p.ID)
			}
		}
	}
	return found
}

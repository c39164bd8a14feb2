//go:build !cgo

package main

func three() { panic("built without cgo") }

// SPDX-License-Identifier: BSD-2-Clause

// bigbin is a big executable (about 100 MB) with many functions, for the time
// and memory that parsing takes.  Most of it is made by gen.go at build time.
// It prints `READY pid=N` and ends when its standard input does.
package main

import (
	"archive/tar"
	"archive/zip"
	"bufio"
	"compress/bzip2"
	"compress/flate"
	"compress/lzw"
	"compress/zlib"
	"crypto/tls"
	"database/sql"
	"encoding/csv"
	"encoding/gob"
	"encoding/xml"
	"expvar"
	"fmt"
	"go/ast"
	"go/format"
	"go/parser"
	"go/types"
	"html/template"
	"image/gif"
	"image/jpeg"
	"image/png"
	"io"
	"log/slog"
	"math/big"
	"mime/multipart"
	"net/http"
	"net/http/httputil"
	"net/mail"
	"net/rpc"
	"net/smtp"
	"os"
	"regexp"
	"text/tabwriter"

	"gospect.test/bigbin/gen"
)

// kept holds something of each package, so that the linker keeps it.
var kept = []interface{}{
	tar.NewReader, zip.NewReader, bzip2.NewReader, flate.NewWriter, lzw.NewReader, zlib.NewReader,
	tls.Dial, sql.Open, csv.NewReader, gob.NewDecoder, xml.Unmarshal, expvar.Do, ast.Print,
	format.Source, parser.ParseFile, types.NewPackage, template.New, gif.DecodeAll, jpeg.Decode,
	png.Decode, slog.New, (*big.Int).Exp, multipart.NewReader, http.ListenAndServe,
	httputil.NewSingleHostReverseProxy, mail.ReadMessage, rpc.Dial, smtp.SendMail,
	regexp.MustCompile, tabwriter.NewWriter,
}

func main() {
	fmt.Printf("READY pid=%d\n", os.Getpid())
	fmt.Printf("{\"kept\":%d,\"sum\":%d}\n", len(kept), gen.All(len(os.Args))+len(gen.Data))
	bufio.NewReader(os.Stdin).WriteTo(io.Discard)
}

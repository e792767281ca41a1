package main

import (
	"bytes"
	"compress/gzip"
	"container/heap"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"io"
	"math/big"
	"math/rand"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode/utf8"
)

type numbers []int

func (n numbers) Len() int           { return len(n) }
func (n numbers) Less(i, j int) bool { return n[i] < n[j] }
func (n numbers) Swap(i, j int)      { n[i], n[j] = n[j], n[i] }
func (n *numbers) Push(x any)        { *n = append(*n, x.(int)) }
func (n *numbers) Pop() any {
	last := (*n)[len(*n)-1]
	*n = (*n)[:len(*n)-1]
	return last
}

func largest[T int | float64](all ...T) (most T) {
	for _, one := range all {
		if one > most {
			most = one
		}
	}
	return
}

func main() {
	var into struct {
		Name string `json:"name"`
		N    []int  `json:"n"`
	}
	fmt.Println(json.Unmarshal([]byte(`{"name":"grüß","n":[1,2]}`), &into), into)
	h := &numbers{5, 2, 8}
	heap.Init(h)
	fmt.Println(heap.Pop(h), largest(1.5, 0.5))
	fmt.Printf("%x\n", sha256.Sum256([]byte("x")))
	fmt.Println(base64.StdEncoding.EncodeToString([]byte("text")), binary.BigEndian.Uint16([]byte{1, 2}))
	rows, _ := csv.NewReader(strings.NewReader("a,b\n1,2\n")).ReadAll()
	fmt.Println(rows)
	var packed bytes.Buffer
	zip := gzip.NewWriter(&packed)
	io.WriteString(zip, "packed")
	zip.Close()
	unzip, _ := gzip.NewReader(&packed)
	unpacked, _ := io.ReadAll(unzip)
	fmt.Println(string(unpacked))
	template.Must(template.New("t").Parse("{{.}}\n")).Execute(os.Stdout, "<b>")
	fmt.Println(new(big.Int).Exp(big.NewInt(2), big.NewInt(100), nil))
	fmt.Println(rand.New(rand.NewSource(1)).Intn(10) < 10)
	_, err := http.Get("http://127.0.0.1:1/")
	fmt.Println(err != nil)
	where, _ := url.Parse("https://example.org/a?b=c")
	fmt.Println(where.Host, where.Query())
	os.WriteFile("note.txt", []byte("kept"), 0o644)
	found, _ := filepath.Glob("*.txt")
	fmt.Println(found)
	_, err = os.Open("missing")
	fmt.Println(errors.Is(err, os.ErrNotExist))
	fmt.Println(regexp.MustCompile(`(\d+)-(\d+)`).ReplaceAllString("1-2", "$2.$1"))
	words := strings.Fields("pear apple fig")
	sort.Strings(words)
	fmt.Println(words, strconv.Quote("x"))
	table := tabwriter.NewWriter(os.Stdout, 0, 4, 1, ' ', 0)
	fmt.Fprintln(table, "a\tb")
	table.Flush()
	fmt.Println(time.Unix(86400, 0).UTC().Format(time.RFC3339), utf8.RuneCountInString("grüß"))
}

package sse_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/require"
	gosse "github.com/tmaxmax/go-sse"

	"github.com/holysheep-ai/holysheep-go/internal/sse"
)

const limit = 1 << 20

type event struct{ kind, data string }

func read(r io.Reader, limit int) (events []event, err error) {
	for ev, e := range sse.Read(r, limit) {
		if e != nil && !errors.Is(e, sse.ErrIncomplete) {
			return events, e
		}
		events = append(events, event{ev.Type, ev.Data})
		if e != nil {
			return events, e
		}
	}
	return events, nil
}

// pieces gives its parts one read at a time.
type pieces struct{ parts [][]byte }

func (p *pieces) Read(b []byte) (int, error) {
	if len(p.parts) == 0 {
		return 0, io.EOF
	}
	n := copy(b, p.parts[0])
	if p.parts[0] = p.parts[0][n:]; len(p.parts[0]) == 0 {
		p.parts = p.parts[1:]
	}
	return n, nil
}

// oracle reads a stream as the WHATWG's rules say, line by line, with the two liberties that Read takes: white
// space and byte order marks at the start are passed over, and an event at the end needs no blank line. Lines beginning with "error:" are
// left to the tables.
func oracle(stream string) []event {
	stream = strings.TrimLeft(stream, "\ufeff \t\r\n")
	stream = strings.ReplaceAll(strings.ReplaceAll(stream, "\r\n", "\n"), "\r", "\n")
	var events []event
	var now event
	var data []string
	dirty := false
	dispatch := func() {
		if dirty {
			now.data = strings.Join(data, "\n")
			events = append(events, now)
		}
		now, data, dirty = event{}, nil, false
	}
	for line := range strings.SplitSeq(stream, "\n") {
		name, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch {
		case line == "":
			dispatch()
		case name == "data":
			data = append(data, value)
			dirty = true
		case name == "event":
			now.kind = value
			dirty = true
		case name == "id" && !strings.Contains(value, "\x00"):
			dirty = true
		}
	}
	dispatch()
	return events
}

func TestRead(t *testing.T) {
	for _, r := range []struct {
		name, in string
		want     []event
		err      error
	}{
		{"one", "data: a\n\n", []event{{"", "a"}}, nil},
		{"no space", "data:a\n\n", []event{{"", "a"}}, nil},
		{"two spaces", "data:  a\n\n", []event{{"", " a"}}, nil},
		{"type", "event: x\ndata: a\n\n", []event{{"x", "a"}}, nil},
		{"several lines", "data: a\ndata: b\n\n", []event{{"", "a\nb"}}, nil},
		{"CRLF", "data: a\r\n\r\ndata: b\r\n\r\n", []event{{"", "a"}, {"", "b"}}, nil},
		{"CR", "data: a\r\rdata: b\r\r", []event{{"", "a"}, {"", "b"}}, nil},
		{"BOM", "\ufeffdata: a\n\n", []event{{"", "a"}}, nil},
		{"comments", ": x\n\n:\n: y\ndata: a\n: z\n\n", []event{{"", "a"}}, nil},
		{"blank lines", "\n\n\ndata: a\n\n\n\n", []event{{"", "a"}}, nil},
		{"no blank line at the end", "data: a\n\ndata: b\n", []event{{"", "a"}, {"", "b"}}, sse.ErrIncomplete},
		{"no line end at the end", "data: a\n\ndata: b", []event{{"", "a"}, {"", "b"}}, sse.ErrIncomplete},
		{"a comment at the end", "data: a\n\n: x", []event{{"", "a"}}, nil},
		{"an error line", "data: a\n\nerror: {\"message\":\"x\"}\n\n", []event{{"", "a"}, {"error", `{"message":"x"}`}}, nil},
		{"an error line at the end", "error:x", []event{{"error", "x"}}, sse.ErrIncomplete},
		{"nothing", "", nil, nil},
		{"white space", " \n\r\n", nil, nil},
	} {
		t.Run(r.name, func(t *testing.T) {
			for name, in := range map[string]io.Reader{
				"whole":    strings.NewReader(r.in),
				"bytewise": iotest.OneByteReader(strings.NewReader(r.in)),
				"with EOF": iotest.DataErrReader(strings.NewReader(r.in)),
			} {
				got, err := read(in, limit)
				require.Equal(t, r.want, got, name)
				require.Equal(t, r.err, err, name)
			}
			for cut := range len(r.in) {
				got, err := read(&pieces{[][]byte{[]byte(r.in[:cut]), []byte(r.in[cut:])}}, limit)
				require.Equal(t, r.want, got, "cut at %d", cut)
				require.Equal(t, r.err, err)
			}
		})
	}
}

func TestNotEvents(t *testing.T) {
	for _, in := range []string{`{"error":1}`, ` [1]`, "\ufeff\n<html>"} {
		for name, r := range map[string]io.Reader{"whole": strings.NewReader(in), "bytewise": iotest.OneByteReader(strings.NewReader(in))} {
			events, err := read(r, limit)
			require.Empty(t, events)
			other, ok := errors.AsType[*sse.NotEventsError](err)
			require.True(t, ok, "%s: %v", name, err)
			rest, err := io.ReadAll(r)
			require.NoError(t, err)
			require.Equal(t, strings.TrimLeft(in, "\ufeff \n"), string(other.Prefix)+string(rest))
		}
	}
}

// The error of the reader comes as it is, after the events that were whole; what had begun is dropped.
func TestReaderError(t *testing.T) {
	broken := errors.New("connection reset")
	got, err := read(io.MultiReader(strings.NewReader("data: a\n\ndata: b\n"), iotest.ErrReader(broken)), limit)
	require.Equal(t, []event{{"", "a"}}, got)
	require.Same(t, broken, err)

	_, err = read(&idle{}, limit)
	require.ErrorIs(t, err, io.ErrNoProgress)
}

// idle brings nothing, for ever.
type idle struct{}

func (*idle) Read([]byte) (int, error) { return 0, nil }

func TestLimit(t *testing.T) {
	const small = 1000
	fits := strings.Repeat("x", small-len("data: "))
	got, err := read(strings.NewReader("data: "+fits+"\n\ndata: a\n\n"), small)
	require.NoError(t, err)
	require.Equal(t, []event{{"", fits}, {"", "a"}}, got)

	for name, in := range map[string]string{
		"one line":     "data: " + fits + "x\n\n",
		"several":      strings.Repeat("data: 12345\n", 100) + "\n",
		"no line end":  "data: " + strings.Repeat("x", 5000),
		"a comment":    ": " + strings.Repeat("x", 5000) + "\n\n",
		"unknown line": strings.Repeat("x", 5000),
	} {
		_, err := read(strings.NewReader("data: first\n\n"+in), small)
		require.ErrorIs(t, err, sse.ErrTooLarge, name)
	}
}

// Comments without end are no event too large, and take no memory.
func TestEndlessComments(t *testing.T) {
	const ping = ": keep-alive\n"
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	in := io.MultiReader(&repeat{text: ping, left: 4 << 20 / len(ping)}, strings.NewReader("data: a\n\n"))
	got, err := read(in, 1000)
	runtime.ReadMemStats(&after)
	require.NoError(t, err)
	require.Equal(t, []event{{"", "a"}}, got)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(1<<20))
}

// repeat gives a text so many times.
type repeat struct {
	text string
	rest string
	left int
}

func (r *repeat) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) {
		if r.rest == "" {
			if r.left == 0 {
				break
			}
			r.left--
			r.rest = r.text
		}
		c := copy(p[n:], r.rest)
		r.rest = r.rest[c:]
		n += c
	}
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

// A large event in small reads costs no more for each byte than small ones, up to a constant: without the framing
// reader the factor is the number of reads. Both sides read 4 MiB.
func TestLargeEventInSmallReads(t *testing.T) {
	const total = 4 << 20
	cost := func(size int) time.Duration {
		in := bytes.Repeat([]byte("data: "+strings.Repeat("x", size)+"\n\n"), total/size)
		best := time.Duration(math.MaxInt64)
		for range 5 {
			start := time.Now()
			got, err := read(&sips{bytes.NewReader(in)}, 2*size)
			best = min(best, time.Since(start))
			require.NoError(t, err)
			require.Len(t, got, total/size)
		}
		return best
	}
	small, large := cost(64<<10), cost(total)
	t.Logf("events of 64 KiB: %v, one of 4 MiB: %v", small, large)
	require.Less(t, large, 25*small)
}

// What a stream costs beyond the parser's two copies of each event does not grow with it, wherever its events are cut.
func TestAllocations(t *testing.T) {
	const n = 1000
	in := bytes.Repeat([]byte("data: "+strings.Repeat("x", 100)+"\n\n"), n)
	for name, reader := range map[string]func() io.Reader{
		"bursts":  func() io.Reader { return bytes.NewReader(in) },
		"packets": func() io.Reader { return &sips{bytes.NewReader(in)} },
	} {
		got := testing.AllocsPerRun(5, func() {
			for _, err := range sse.Read(reader(), limit) {
				require.NoError(t, err)
			}
		})
		require.Less(t, got, 2.0*n+50, name)
	}
}

// sips reads 1,400 bytes at a time, as packets come.
type sips struct{ r io.Reader }

func (s *sips) Read(p []byte) (int, error) { return s.r.Read(p[:min(len(p), 1400)]) }

// After break nothing is read any more.
func TestBreak(t *testing.T) {
	in := &pieces{[][]byte{[]byte("data: a\n\n"), []byte("data: b\n\n"), []byte("data: c\n\n")}}
	for range sse.Read(in, limit) {
		break
	}
	require.Len(t, in.parts, 2)
}

func FuzzRead(f *testing.F) {
	for _, s := range []string{
		"data: a\n\n", "data:a\r\n\r\n", "\ufeffdata: a\r\rdata", ": x\n\nevent: e\nid: 1\nretry: 5\ndata: b\n",
		"data\n\n", "data:\n\n", "id\n\n", "event:x\n\n\n", "\r\n\r\ndata: a\n\r\n", "dataa: x\n\n", "id: \x00\n\n",
		"data: a\n\ndata: b\n\n: x\ndata: c\n\ndata: d\r\n\r\ndata: e\n\n\ndata: f\n\n", "event: x\ndata: a\n\ndata: b\n\ndata",
	} {
		f.Add(s, uint8(1), uint16(100))
		f.Add(s, uint8(20), uint16(100))
		f.Add(s, uint8(255), uint16(20))
	}
	f.Fuzz(func(t *testing.T, stream string, size uint8, limit uint16) {
		var parts [][]byte
		for rest := []byte(stream); len(rest) > 0; {
			n := min(int(size)+1, len(rest))
			parts = append(parts, rest[:n])
			rest = rest[n:]
		}
		got, err := read(&pieces{parts}, int(limit))
		if err != nil && !errors.Is(err, sse.ErrIncomplete) {
			if _, ok := errors.AsType[*sse.NotEventsError](err); !ok && !errors.Is(err, sse.ErrTooLarge) {
				t.Fatalf("%q: %v", stream, err)
			}
			return
		}
		for _, line := range strings.FieldsFunc(stream, func(r rune) bool { return r == '\r' || r == '\n' }) {
			if strings.HasPrefix(strings.TrimLeft(line, "\ufeff \t"), "error:") {
				return
			}
		}
		if want := oracle(stream); fmt.Sprintf("%q", got) != fmt.Sprintf("%q", want) {
			t.Fatalf("%q in pieces of %d\n got %q\nwant %q", stream, size, got, want)
		}
	})
}

// Both readers on the same bytes: many events a read, and one event a read.
func BenchmarkRead(b *testing.B) {
	ev := []byte("data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"" + strings.Repeat("w", 150) + "\"}}]}\n\n")
	const n = 1000
	readers := map[string]func() io.Reader{
		"bursts": func() io.Reader { return bytes.NewReader(bytes.Repeat(ev, n)) },
		"packets": func() io.Reader {
			p := &pieces{}
			for range n {
				p.parts = append(p.parts, ev)
			}
			return p
		},
	}
	for name, reader := range readers {
		b.Run(name+"/framed", func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; i < b.N; i += n {
				for range sse.Read(reader(), limit) {
				}
			}
		})
		b.Run(name+"/go-sse", func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; i < b.N; i += n {
				for range gosse.Read(reader(), &gosse.ReadConfig{MaxEventSize: limit}) {
				}
			}
		})
	}
}

package holysheep_test

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holysheep-ai/holysheep-go"
)

const recorded = `data: {"id":"c1","model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}

data: {"id":"c1","model":"m","choices":[{"index":0,"delta":{"content":"Within "}}]}

: keep-alive

data: {"id":"c1","model":"m","choices":[{"index":0,"delta":{"content":"30 days — \"at most\".\n"}}]}

data: {"id":"c1","model":"m","choices":[{"index":0,"delta":{"content":"中文"}}]}

data: {"id":"c1","model":"m","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}

data: {"id":"c1","model":"m","choices":[],"usage":{"prompt_tokens":7,"completion_tokens":9}}

data: [DONE]

`

// A stream cut at every byte, in each way a body can end, is complete exactly when its finish_reason has arrived,
// and the partial text is exactly what arrived.
func TestStreamCutAtEveryByte(t *testing.T) {
	texts := []string{"", "Within ", "", "30 days — \"at most\".\n", "中文", "", "", ""}
	finish := strings.Index(recorded, `"finish_reason"`)
	finish += strings.Index(recorded[finish:], "\n")
	endings := map[string]func(conn net.Conn, body string){
		"clean end": func(conn net.Conn, body string) {
			events(conn, body)
		},
		"no chunk terminator": func(conn net.Conn, body string) {
			chunkedHead(conn)
			_, _ = fmt.Fprintf(conn, "%x\r\n%s\r\n", len(body), body)
			_ = conn.Close()
		},
		"cut in a chunk": func(conn net.Conn, body string) {
			chunkedHead(conn)
			_, _ = fmt.Fprintf(conn, "%x\r\n%s", len(body)+10, body)
			_ = conn.Close()
		},
	}
	for name, end := range endings {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var body string
				c := pipeGateway(t, &holysheep.Options{MaxAttempts: 1}, func(conn net.Conn, _ *http.Request) bool {
					end(conn, body)
					return name == "clean end"
				})
				for cut := 1; cut <= len(recorded); cut++ {
					body = recorded[:cut]
					got := drainStream(t.Context(), c, ask("x"))

					// An event counts when its blank line has come; at a clean end also when only that is missing.
					var want string
					for i, ev := range strings.SplitAfter(body, "\n\n") {
						whole := strings.HasSuffix(ev, "\n\n")
						if !whole && name == "clean end" {
							whole = strings.HasSuffix(strings.TrimRight(ev, "\r\n"), "}]}")
						}
						if whole && i < len(texts) {
							want += texts[i]
						}
					}
					complete := cut > finish+1
					if name == "clean end" {
						complete = cut >= finish
					}
					require.Equal(t, want, got.text, "cut at %d", cut)
					if complete {
						require.NoError(t, got.err, "cut at %d", cut)
						require.Equal(t, "Within 30 days — \"at most\".\n中文", got.response.Text())
						continue
					}
					require.Error(t, got.err, "cut at %d", cut)
					if want == "" {
						require.True(t, errors.Is(got.err, holysheep.ErrTruncated) || errors.Is(got.err, holysheep.ErrEmpty),
							"cut at %d: %v", cut, got.err)
						continue
					}
					require.ErrorIs(t, got.err, holysheep.ErrTruncated, "cut at %d", cut)
					require.Equal(t, want, got.partial(t).Text(), "cut at %d", cut)
				}
			})
		})
	}
}

// A finish_reason says complete: silence after it is not waited out, and a break is no error.
func TestSilenceAfterFinish(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := pipeGateway(t, nil, func(conn net.Conn, _ *http.Request) bool {
			chunkedHead(conn)
			body := chunkA + chunkB + chunkStop
			_, _ = fmt.Fprintf(conn, "%x\r\n%s\r\n", len(body), body)
			_, _ = conn.Read(make([]byte, 1)) // until the client hangs up
			return false
		})
		start := time.Now()
		got := drainStream(t.Context(), c, ask("x"))
		require.NoError(t, got.err)
		require.Equal(t, "Hello", got.response.Text())
		require.Equal(t, holysheep.Estimated, got.response.Cost.Basis, "the usage never came")
		require.LessOrEqual(t, time.Since(start), 10*time.Second)
	})
}

func chunkedHead(conn net.Conn) {
	_, _ = fmt.Fprint(conn, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
}

// Every line ending that SSE allows, split at every byte, gives the same answer.
func TestStreamSplitAtEveryByte(t *testing.T) {
	for name, lineEnd := range map[string]string{"LF": "\n", "CRLF": "\r\n", "CR": "\r"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				body := strings.ReplaceAll(recorded, "\n", lineEnd)
				split := 0
				c := pipeGateway(t, nil, func(conn net.Conn, _ *http.Request) bool {
					chunkedHead(conn)
					for _, part := range []string{body[:split], body[split:]} {
						if part != "" {
							_, _ = fmt.Fprintf(conn, "%x\r\n%s\r\n", len(part), part)
						}
					}
					_, err := fmt.Fprint(conn, "0\r\n\r\n")
					return err == nil
				})
				for split = range len(body) {
					got := drainStream(t.Context(), c, ask("x"))
					require.NoError(t, got.err, "split at %d", split)
					require.Equal(t, "Within 30 days — \"at most\".\n中文", got.response.Text())
					require.Equal(t, holysheep.Usage{PromptTokens: 7, CompletionTokens: 9}, got.response.Usage)
				}
			})
		})
	}
}

// Forms of legal streams that servers send: all complete.
func TestLegalStreams(t *testing.T) {
	for name, body := range map[string]string{
		"no space after the colon":    strings.ReplaceAll(recorded, "data: ", "data:"),
		"no blank line at the end":    strings.TrimRight(recorded, "\n"),
		"one line end at the end":     strings.TrimRight(recorded, "\n") + "\n",
		"byte order mark":             "\ufeff" + recorded,
		"a thousand comments first":   strings.Repeat(": OPENROUTER PROCESSING\n\n", 1000) + recorded,
		"comments without blank line": strings.Repeat(": ping\n", 1000) + recorded,
		"more after DONE":             recorded + strings.Repeat("data: {\"late\":true}\n\n", 10),
		"no DONE":                     strings.Replace(recorded, "data: [DONE]\n\n", "", 1),
		"no DONE, no usage":           recorded[:strings.Index(recorded, `data: {"id":"c1","model":"m","choices":[],`)],
		"multi-line data":             strings.ReplaceAll(recorded, `"choices":`, "\ndata: \"choices\":"),
		"white space before JSON":     strings.ReplaceAll(recorded, "data: {", "data:   {"),
		"event and id fields":         strings.ReplaceAll(recorded, "data: {", "event: message\nid: 7\nretry: 10\ndata: {"),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := pipeGateway(t, nil, func(conn net.Conn, _ *http.Request) bool { return events(conn, body) })
				got := drainStream(t.Context(), c, ask("x"))
				require.NoError(t, got.err)
				require.Equal(t, "Within 30 days — \"at most\".\n中文", got.response.Text())
				require.Equal(t, "stop", got.response.FinishReason())
			})
		})
	}
}

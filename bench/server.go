package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"
)

// The answers. A chunk is about as long as OpenAI's; varied chunks differ in the order of their keys, in white
// space, in the fields that servers add, and in escapes.
const (
	chunksPerStream = 200

	plainAnswer = `{"id":"chatcmpl-Bk3f0J2sVq7","object":"chat.completion","created":1732450000,"model":"deepseek-v3.2","choices":[{"index":0,"message":{"role":"assistant","content":"You can return order 48291 within 30 days of delivery. Open \"My orders\", choose the item, print the label and drop the parcel at any post office.\nThe money is back on your card about five days after the parcel has reached us.","refusal":null,"annotations":[]},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":24,"completion_tokens":58,"total_tokens":82,"prompt_tokens_details":{"cached_tokens":0,"audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":0,"audio_tokens":0}},"service_tier":"default","system_fingerprint":"fp_44709d6fcb"}`
)

func chunk(i int) string {
	return fmt.Sprintf(`data: {"id":"chatcmpl-Bk3f0J2sVq7","object":"chat.completion.chunk","created":1732450000,"model":"deepseek-v3.2","service_tier":"default","system_fingerprint":"fp_44709d6fcb","choices":[{"index":0,"delta":{"content":" word%d"},"logprobs":null,"finish_reason":null}]}`+"\n\n", i)
}

func variedChunk(i int) string {
	switch i % 6 {
	case 0:
		return fmt.Sprintf(`data: {"choices":[{"delta":{"content":" word%d","role":"assistant"},"index":0}],"model":"deepseek-v3.2","id":"x%d","created":1732450000}`+"\n\n", i, i)
	case 1:
		return fmt.Sprintf(`data: { "id": "c", "object": "chat.completion.chunk", "choices": [ { "index": 0, "delta": { "content": "line\nbreak %d" }, "finish_reason": null } ], "usage": null }`+"\n\n", i)
	case 2:
		return fmt.Sprintf(`data: {"id":"c","model":"m","choices":[{"index":0,"delta":{"reasoning_content":"hm%d","content":null}}],"obfuscation":"aX%d"}`+"\n\n", i, i)
	case 3:
		return fmt.Sprintf(`data: {"id":"c","provider":"p%d","model":"m","choices":[{"index":0,"delta":{"content":"中文 %d"},"native_finish_reason":null}]}`+"\n\n", i, i)
	case 4:
		return fmt.Sprintf(`data: {"id":"c","model":"m","choices":[{"index":0,"delta":{"content":" t%d"}}],"usage":{"prompt_tokens":9,"completion_tokens":%d,"total_tokens":%d}}`+"\n\n", i, i, i+9)
	}
	return chunk(i)
}

func streamBody(varied bool) []string {
	chunks := make([]string, 0, chunksPerStream+3)
	for i := range chunksPerStream {
		if varied {
			chunks = append(chunks, variedChunk(i))
		} else {
			chunks = append(chunks, chunk(i))
		}
	}
	return append(chunks,
		`data: {"id":"chatcmpl-Bk3f0J2sVq7","object":"chat.completion.chunk","created":1732450000,"model":"deepseek-v3.2","choices":[{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}]}`+"\n\n",
		`data: {"id":"chatcmpl-Bk3f0J2sVq7","object":"chat.completion.chunk","created":1732450000,"model":"deepseek-v3.2","choices":[],"usage":{"prompt_tokens":24,"completion_tokens":200,"total_tokens":224}}`+"\n\n",
		"data: [DONE]\n\n")
}

// runServer serves until it is killed. The path chooses what is answered: /CASE/v1/chat/completions.
func runServer() error {
	var conns atomic.Int64
	bursts := strings.Join(streamBody(false), "")
	varied := strings.Join(streamBody(true), "")
	packets := streamBody(false)
	mux := http.NewServeMux()
	answer := func(contentType, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			w.Header().Set("Content-Type", contentType)
			_, _ = io.WriteString(w, body)
		}
	}
	mux.HandleFunc("/chat/v1/chat/completions", answer("application/json", plainAnswer))
	mux.HandleFunc("/parallel/v1/chat/completions", answer("application/json", plainAnswer))
	mux.HandleFunc("/stream/v1/chat/completions", answer("text/event-stream", bursts))
	mux.HandleFunc("/varied/v1/chat/completions", answer("text/event-stream", varied))
	mux.HandleFunc("/packets/v1/chat/completions", func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "text/event-stream")
		for _, c := range packets {
			_, _ = io.WriteString(w, c)
			_ = http.NewResponseController(w).Flush()
		}
	})
	mux.HandleFunc("/slow/v1/chat/completions", func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "text/event-stream")
		for _, c := range packets {
			select {
			case <-r.Context().Done():
				return
			case <-time.After(2 * time.Millisecond):
			}
			_, _ = io.WriteString(w, c)
			_ = http.NewResponseController(w).Flush()
		}
	})
	mux.HandleFunc("/busy/v1/chat/completions", func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		http.Error(w, `{"error":{"message":"busy","type":"rate_limit_error"}}`, http.StatusTooManyRequests)
	})
	mux.HandleFunc("/linger/v1/chat/completions", func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, bursts)
		_ = http.NewResponseController(w).Flush()
		time.Sleep(50 * time.Millisecond)
	})
	mux.HandleFunc("/late/v1/chat/completions", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusInternalServerError)
		for range 40 {
			_, _ = io.WriteString(w, "x")
			_ = http.NewResponseController(w).Flush()
			time.Sleep(100 * time.Millisecond)
		}
	})
	mux.HandleFunc("/hour/v1/chat/completions", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "3600")
		w.WriteHeader(http.StatusTooManyRequests)
	})
	for name, s := range map[string]*vectorServer{
		"embeddings": newVectorServer(0, false), "floats": newVectorServer(0, true),
		"shared": newVectorServer(0, false), "shared20": newVectorServer(20*time.Millisecond, false),
	} {
		mux.Handle("/"+name+"/v1/embeddings", s)
		mux.HandleFunc("/"+name+"/requests", func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, s.requests.Load()) })
	}
	mux.HandleFunc("/conns", func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, conns.Load()) })

	var lc net.ListenConfig
	l, err := lc.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Printf("http://%s\n", l.Addr())
	srv := &http.Server{Handler: mux, ReadHeaderTimeout: time.Minute, ConnState: func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			conns.Add(1)
		}
	}}
	return srv.Serve(l)
}

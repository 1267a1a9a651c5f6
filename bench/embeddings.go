package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	goopenai "github.com/sashabaranov/go-openai"

	"github.com/holysheep-ai/holysheep-go"
)

const (
	embedModel = "text-embedding-3-small"
	embedTexts = 64
	dimensions = 384
)

// embedCall gives the number of vectors that came, times their length.
type embedCall = func(ctx context.Context, texts []string) (int, error)

// embedders are the clients, and this one without the sharing of requests.
var embedders = []struct {
	name string
	make func(baseURL string) (embedCall, error)
}{
	{"raw", makeRawEmbedder},
	{"holysheep", func(url string) (embedCall, error) { return makeEmbedder(url, nil) }},
	{"holysheep, not sharing", func(url string) (embedCall, error) {
		return makeEmbedder(url, &holysheep.EmbedOptions{MaxHold: -1})
	}},
	{"go-openai", makeGoOpenAIEmbedder},
	{"openai-go", makeOpenAIGoEmbedder},
}

func embedder(name, baseURL string) (embedCall, error) {
	for _, e := range embedders {
		if e.name == name {
			return e.make(baseURL)
		}
	}
	return nil, fmt.Errorf("no embedder %q", name)
}

func batchOfTexts() []string {
	texts := make([]string, embedTexts)
	for i := range texts {
		texts[i] = fmt.Sprintf("Passage %d: %s", i, question)
	}
	return texts
}

// makeRawEmbedder is the floor: net/http and encoding/json, from numbers.
func makeRawEmbedder(baseURL string) (embedCall, error) {
	type request struct {
		Model string   `json:"model"`
		Input []string `json:"input"`
	}
	type answer struct {
		Data []struct {
			Index     int       `json:"index"`
			Embedding []float32 `json:"embedding"`
		} `json:"data"`
		Usage struct {
			PromptTokens int `json:"prompt_tokens"`
		} `json:"usage"`
	}
	hc := &http.Client{Transport: &http.Transport{MaxIdleConns: 512, MaxIdleConnsPerHost: 256}}
	return func(ctx context.Context, texts []string) (int, error) {
		body, err := json.Marshal(request{embedModel, texts})
		if err != nil {
			return 0, err
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, baseURL+"/embeddings", bytes.NewReader(body))
		if err != nil {
			return 0, err
		}
		req.Header.Set("Authorization", "Bearer hs_bench")
		req.Header.Set("Content-Type", "application/json")
		resp, err := hc.Do(req)
		if err != nil {
			return 0, err
		}
		defer func() { _ = resp.Body.Close() }()
		if resp.StatusCode != http.StatusOK {
			return 0, errors.New(resp.Status)
		}
		raw, err := io.ReadAll(resp.Body)
		if err != nil {
			return 0, err
		}
		var a answer
		if err := json.Unmarshal(raw, &a); err != nil {
			return 0, err
		}
		return len(a.Data) * len(a.Data[0].Embedding), nil
	}, nil
}

func makeEmbedder(baseURL string, opts *holysheep.EmbedOptions) (embedCall, error) {
	c, err := holysheep.New("hs_bench", &holysheep.Options{BaseURL: baseURL})
	if err != nil {
		return nil, err
	}
	e := c.Embedder(embedModel, opts)
	return func(ctx context.Context, texts []string) (int, error) {
		vectors, err := e.Embed(ctx, texts)
		if err != nil {
			return 0, err
		}
		return len(vectors) * len(vectors[0]), nil
	}, nil
}

func makeGoOpenAIEmbedder(baseURL string) (embedCall, error) {
	config := goopenai.DefaultConfig("hs_bench")
	config.BaseURL = baseURL
	c := goopenai.NewClientWithConfig(config)
	return func(ctx context.Context, texts []string) (int, error) {
		resp, err := c.CreateEmbeddings(ctx, goopenai.EmbeddingRequestStrings{Input: texts, Model: embedModel})
		if err != nil {
			return 0, err
		}
		return len(resp.Data) * len(resp.Data[0].Embedding), nil
	}, nil
}

func makeOpenAIGoEmbedder(baseURL string) (embedCall, error) {
	c := openai.NewClient(option.WithBaseURL(baseURL), option.WithAPIKey("hs_bench"))
	return func(ctx context.Context, texts []string) (int, error) {
		resp, err := c.Embeddings.New(ctx, openai.EmbeddingNewParams{
			Model: embedModel, Input: openai.EmbeddingNewParamsInputUnion{OfArrayOfStrings: texts},
		})
		if err != nil {
			return 0, err
		}
		return len(resp.Data) * len(resp.Data[0].Embedding), nil
	}, nil
}

// vectorServer answers /embeddings, in base64 to those who ask for it, unless it only gives numbers.
type vectorServer struct {
	latency     time.Duration
	onlyNumbers bool
	requests    atomic.Int64
	whole       map[bool]string // the answer to embedTexts texts, in base64 or not
}

func newVectorServer(latency time.Duration, onlyNumbers bool) *vectorServer {
	s := &vectorServer{latency: latency, onlyNumbers: onlyNumbers, whole: map[bool]string{}}
	for _, packed := range []bool{true, false} {
		s.whole[packed] = vectorAnswer(embedTexts, packed)
	}
	return s
}

func (s *vectorServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.requests.Add(1)
	var body struct {
		Input          []string `json:"input"`
		EncodingFormat string   `json:"encoding_format"`
	}
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	time.Sleep(s.latency)
	packed := body.EncodingFormat == "base64" && !s.onlyNumbers
	answer := s.whole[packed]
	if n := len(body.Input); n != embedTexts {
		answer = vectorAnswer(n, packed)
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, answer)
}

// oneVector is the same for every text, as a server of vectors would send it.
var oneVector = func() map[bool]string {
	random := rand.New(rand.NewPCG(1, 2))
	numbers := make([]float32, dimensions)
	var packed []byte
	for i := range numbers {
		numbers[i] = float32(random.NormFloat64() / math.Sqrt(dimensions))
		packed = binary.LittleEndian.AppendUint32(packed, math.Float32bits(numbers[i]))
	}
	text, _ := json.Marshal(numbers)
	return map[bool]string{true: `"` + base64.StdEncoding.EncodeToString(packed) + `"`, false: string(text)}
}()

func vectorAnswer(n int, packed bool) string {
	var b strings.Builder
	b.WriteString(`{"object":"list","data":[`)
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"object":"embedding","index":%d,"embedding":%s}`, i, oneVector[packed])
	}
	fmt.Fprintf(&b, `],"model":"%s","usage":{"prompt_tokens":%d,"total_tokens":%d}}`, embedModel, 20*n, 20*n)
	return b.String()
}

// sharedCalls is how many calls with one text each are made by 64 goroutines.
const sharedCalls = 10_000

// runShared measures one embedder with single texts.
func runShared(name, job, url string, scale float64) (result, error) {
	embed, err := embedder(name, url+"/"+job+"/v1")
	if err != nil {
		return result{}, err
	}
	one := []string{question}
	call := func(ctx context.Context) (int, error) { return embed(ctx, one) }
	n := int(sharedCalls * scale)
	if err := parallel(call, nil, n/10+1); err != nil {
		return result{}, err
	}
	before, err := number(url + "/" + job + "/requests")
	if err != nil {
		return result{}, err
	}
	cpu, start := cpuTime(), time.Now()
	if err := parallel(call, nil, n); err != nil {
		return result{}, err
	}
	wall := time.Since(start)
	cpu = cpuTime() - cpu
	after, err := number(url + "/" + job + "/requests")
	if err != nil {
		return result{}, err
	}
	return result{CPU: float64(cpu) / float64(n), Rate: float64(n) / wall.Seconds(), Requests: after - before}, nil
}

// compareShared prints what sharing requests saves.
func compareShared(self, url string, rounds int, scale float64) error {
	for _, job := range []struct{ name, what string }{
		{"shared", "the server answers at once"},
		{"shared20", "the server takes 20 ms"},
	} {
		results := map[string][]result{}
		for range rounds {
			for _, e := range embedders {
				r, err := measure(self, url, e.name, job.name, scale)
				if err != nil {
					return err
				}
				results[e.name] = append(results[e.name], r)
			}
		}
		fmt.Printf("\n**%d calls with one text each, from %d goroutines** (%s)\n\n", int(sharedCalls*scale), callers, job.what)
		fmt.Println("| client | requests sent | calls/s | rate, ratio to raw | CPU, ratio to raw |")
		fmt.Println("|---|---|---|---|---|")
		raw := results["raw"]
		for _, e := range embedders {
			rs := results[e.name]
			fmt.Printf("| %s | %.0f | %.0f | %.2f | %.2f |\n", e.name,
				medianOf(rs, func(i int) float64 { return float64(rs[i].Requests) }),
				medianOf(rs, func(i int) float64 { return rs[i].Rate }),
				medianOf(rs, func(i int) float64 { return rs[i].Rate / raw[i].Rate }),
				medianOf(rs, func(i int) float64 { return rs[i].CPU / raw[i].CPU }))
		}
	}
	return nil
}

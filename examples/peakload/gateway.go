package main

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/holysheep-ai/holysheep-go"
	"github.com/holysheep-ai/holysheep-go/cache"
)

// What the gateway is like when all is well.
const (
	serviceMean  = 800 * time.Millisecond
	serviceSigma = 0.35 // of the logarithm of a service time
	longestWait  = 12 * time.Second
	faultShare   = 0.005 // of all requests: 503 out of the blue
	embedTime    = 30 * time.Millisecond
	wireTime     = 20 * time.Millisecond // from the client to the gateway, give or take a half
)

// gateway is a model of one: each model has a queue, which so many are served from at once. A request that would wait
// longer than twelve seconds is refused, by turns with 429 and 503, and without a hint when to come again: relays lose
// it. One whose caller has left is served, and billed, all the same.
type gateway struct {
	capacity  float64 // requests a second, for each model
	slowModel string  // the one of the brown-out
	from, to  time.Time
	answers   map[string]*question
	prices    *holysheep.PriceTable
	seed      uint64
	probes    *cache.Probes // for the encoder, out of what it knows

	mu     sync.Mutex
	times  map[string]int // a question was asked of a model
	queues map[string]*queue
	sent   int
	billed holysheep.USD
	spent  []holysheep.USD // by minute
	start  time.Time
	turn   int
}

func newGateway(questions []question, seed uint64, capacity float64) *gateway {
	g := &gateway{
		capacity: capacity, answers: map[string]*question{}, prices: holysheep.ListPrices(),
		seed: seed, times: map[string]int{}, queues: map[string]*queue{}, start: time.Now(),
	}
	first := questions[0].text
	g.probes = &cache.Probes{Like: [2]string{first, first}}
	for i := range questions {
		q := &questions[i]
		g.answers[q.text] = q
		if g.probes.Unlike[0] == "" && q.text != first && strings.HasPrefix(q.label, "about") {
			g.probes.Unlike = [2]string{first, q.text}
		}
	}
	return g
}

// queue is what waits for one model.
type queue struct {
	running int
	waiting []chan struct{}
}

// servers is how many requests are served at once, and how fast a service is compared to the mean.
func (g *gateway) servers(model string) (n int, pace float64) {
	rate := g.capacity
	if now := time.Now(); model == g.slowModel && now.After(g.from) && now.Before(g.to) {
		rate *= 0.2
	}
	n = max(1, int(math.Round(rate*serviceMean.Seconds())))
	return n, float64(n) / (rate * serviceMean.Seconds())
}

// draws is where the chances of a request come from: drawn for it, so that two at one instant may come in either order.
func (g *gateway) draws(model, question string) *rand.Rand {
	g.mu.Lock()
	defer g.mu.Unlock()
	asked := model + ": " + question
	g.times[asked]++
	h := fnv.New64a()
	_, _ = io.WriteString(h, asked)
	return rand.New(rand.NewPCG(g.seed, h.Sum64()+uint64(g.times[asked])))
}

// take waits for a server, or refuses.
func (g *gateway) take(model string, rng *rand.Rand) (refused int, service time.Duration) {
	g.mu.Lock()
	q := g.queues[model]
	if q == nil {
		q = &queue{}
		g.queues[model] = q
	}
	n, pace := g.servers(model)
	service = time.Duration(pace * float64(serviceMean) * math.Exp(serviceSigma*rng.NormFloat64()-serviceSigma*serviceSigma/2))
	if rng.Float64() < faultShare {
		g.mu.Unlock()
		return http.StatusServiceUnavailable, 0
	}
	if q.running < n {
		q.running++
		g.mu.Unlock()
		return 0, service
	}
	if float64(len(q.waiting)) >= longestWait.Seconds()*float64(n)/(pace*serviceMean.Seconds()) {
		g.turn++
		refused = []int{http.StatusTooManyRequests, http.StatusServiceUnavailable}[g.turn%2]
		g.mu.Unlock()
		return refused, 0
	}
	mine := make(chan struct{})
	q.waiting = append(q.waiting, mine)
	g.mu.Unlock()
	<-mine
	return 0, service
}

// release lets the next ones in: none while there are fewer servers than run, several when there are more again.
func (g *gateway) release(model string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	q := g.queues[model]
	q.running--
	for n, _ := g.servers(model); q.running < n && len(q.waiting) > 0; {
		q.running++
		close(q.waiting[0])
		q.waiting = q.waiting[1:]
	}
}

// RoundTrip implements http.RoundTripper.
func (g *gateway) RoundTrip(req *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	_ = req.Body.Close()
	type answered struct {
		status int
		body   string
	}
	done := make(chan answered, 1)
	go func() { // goes on when the caller has left
		status, text := g.serve(req.URL.Path, body)
		done <- answered{status, text}
	}()
	select {
	case a := <-done:
		return &http.Response{
			StatusCode: a.status, Status: fmt.Sprint(a.status, " ", http.StatusText(a.status)),
			Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{"Content-Type": {"application/json"}},
			ContentLength: int64(len(a.body)), Body: io.NopCloser(strings.NewReader(a.body)), Request: req,
		}, nil
	case <-req.Context().Done():
		return nil, context.Cause(req.Context())
	}
}

func (g *gateway) serve(path string, body []byte) (status int, text string) {
	if strings.HasSuffix(path, "/embeddings") {
		return g.embed(body)
	}
	var req struct {
		Model     string `json:"model"`
		MaxTokens int    `json:"max_tokens"`
		Messages  []struct {
			Content string `json:"content"`
		} `json:"messages"`
	}
	if err := json.Unmarshal(body, &req); err != nil {
		return http.StatusBadRequest, `{"error":{"message":"no JSON"}}`
	}
	g.count()
	text = req.Messages[len(req.Messages)-1].Content
	rng := g.draws(req.Model, text)
	time.Sleep(wireTime/2 + time.Duration(rng.Int64N(int64(wireTime))))
	refused, service := g.take(req.Model, rng)
	if refused != 0 {
		return refused, fmt.Sprintf(`{"error":{"message":%q}}`, http.StatusText(refused))
	}
	time.Sleep(service)
	g.release(req.Model)
	q := g.answers[text]
	usage := holysheep.Usage{PromptTokens: 180 + int64(len(q.text)/4), CompletionTokens: int64(min(q.answer, req.MaxTokens))}
	g.bill(req.Model, usage)
	return http.StatusOK, fmt.Sprintf(`{"id":"x","object":"chat.completion","model":%q,"choices":[{"index":0,"message":{"role":"assistant",`+
		`"content":%q},"finish_reason":"stop"}],"usage":{"prompt_tokens":%d,"completion_tokens":%d,"total_tokens":%d}}`,
		req.Model, answerTo(q.label), usage.PromptTokens, usage.CompletionTokens, usage.PromptTokens+usage.CompletionTokens)
}

// embed looks the vectors up.
func (g *gateway) embed(body []byte) (status int, text string) {
	var req struct {
		Model string   `json:"model"`
		Input []string `json:"input"`
	}
	if err := json.Unmarshal(body, &req); err != nil {
		return http.StatusBadRequest, `{"error":{"message":"no JSON"}}`
	}
	time.Sleep(embedTime)
	var b strings.Builder
	var tokens int64
	for i, text := range req.Input {
		q := g.answers[text]
		raw := make([]byte, 0, 4*len(q.vector))
		for _, x := range q.vector {
			raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(x))
		}
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"object":"embedding","index":%d,"embedding":%q}`, i, base64.StdEncoding.EncodeToString(raw))
		tokens += 2 + int64(len(text)/4)
	}
	g.bill(req.Model, holysheep.Usage{PromptTokens: tokens})
	return http.StatusOK, fmt.Sprintf(`{"object":"list","model":%q,"data":[%s],"usage":{"prompt_tokens":%d,"total_tokens":%d}}`,
		req.Model, b.String(), tokens, tokens)
}

// answerTo is long enough for two equal ones to say that their questions have one answer.
func answerTo(label string) string { return "This is what there is to say about " + label + "." }

func (g *gateway) count() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.sent++
}

func (g *gateway) bill(model string, u holysheep.Usage) {
	price, ok := g.prices.Lookup(model)
	if !ok {
		panic(errors.New("no price for " + model)) // a mistake of this program
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	cost := price.Of(u)
	g.billed += cost
	minute := int(time.Since(g.start) / time.Minute)
	for len(g.spent) <= minute {
		g.spent = append(g.spent, 0)
	}
	g.spent[minute] += cost
}

package redisstore_test

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/holysheep-ai/holysheep-go"
	"github.com/holysheep-ai/holysheep-go/cache"
	"github.com/holysheep-ai/holysheep-go/holysheeptest"
	"github.com/holysheep-ai/holysheep-go/store/redisstore"
)

// proxy stands in front of Redis, and can be cut or struck dumb without harm to those who share it.
type proxy struct {
	addr, target string
	dumb         atomic.Bool

	mu       sync.Mutex
	listener net.Listener
	conns    []net.Conn
	serving  sync.WaitGroup
}

func newProxy(t *testing.T, target string) *proxy {
	t.Helper()
	p := &proxy{addr: "127.0.0.1:0", target: target}
	require.NoError(t, p.open())
	t.Cleanup(func() { p.cut(); p.serving.Wait() })
	return p
}

// open lets connections in.
func (p *proxy) open() error {
	l, err := net.Listen("tcp", p.addr)
	if err != nil {
		return err
	}
	p.mu.Lock()
	p.listener, p.addr = l, l.Addr().String()
	p.mu.Unlock()
	p.serving.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			p.serving.Go(func() { p.serve(in) })
		}
	})
	return nil
}

func (p *proxy) serve(in net.Conn) {
	defer func() { _ = in.Close() }()
	out, err := net.Dial("tcp", p.target)
	if err != nil {
		return
	}
	defer func() { _ = out.Close() }()
	p.mu.Lock()
	p.conns = append(p.conns, in, out)
	p.mu.Unlock()
	var back sync.WaitGroup
	back.Go(func() {
		_, _ = io.Copy(in, out)
		_ = in.Close()
	})
	buf := make([]byte, 32<<10)
	for {
		n, err := in.Read(buf)
		if err != nil {
			break
		}
		if p.dumb.Load() {
			continue
		}
		if _, err := out.Write(buf[:n]); err != nil {
			break
		}
	}
	_ = out.Close()
	back.Wait()
}

// cut closes everything: connections are reset, new ones refused.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = p.listener.Close()
	for _, c := range p.conns {
		_ = c.Close()
	}
	p.conns = nil
}

// instant is an encoder that takes no time.
type instant struct{}

func (instant) Fingerprint() string { return "instant/2" }

func (instant) Embed(_ context.Context, texts []string) ([][]float32, error) {
	vectors := make([][]float32, len(texts))
	for i, text := range texts {
		vectors[i] = []float32{float32(len(text)), float32(text[len(text)-1])}
	}
	return vectors, nil
}

// load calls e from many goroutines until it is stopped, and keeps the times that calls took by the phase they began in.
type load struct {
	e      cache.CachedEmbedder
	phase  atomic.Int64
	failed atomic.Int64
	stop   atomic.Bool
	wg     sync.WaitGroup
	mu     sync.Mutex
	took   [5][]time.Duration
}

func (l *load) start(callers int) {
	for range callers {
		l.wg.Go(func() {
			for !l.stop.Load() {
				text := fmt.Sprint("text ", rand.IntN(50))
				phase, start := l.phase.Load(), time.Now()
				got, err := l.e.Embed(context.Background(), []string{text})
				took := time.Since(start)
				if err != nil || len(got) != 1 || got[0][1] != float32(text[len(text)-1]) {
					l.failed.Add(1)
				}
				l.mu.Lock()
				l.took[phase] = append(l.took[phase], took)
				l.mu.Unlock()
				time.Sleep(2 * time.Millisecond)
			}
		})
	}
}

func (l *load) p99(phase int) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	took := slices.Clone(l.took[phase])
	slices.Sort(took)
	return took[len(took)*99/100]
}

// Redis is lost in mid-load, cut off or silent: no call fails, calls hardly take longer once that is noticed, and
// within a second of its return it is in use.
func TestRedisLostInMidLoad(t *testing.T) {
	direct := connect(t, false)
	target := direct.(*redis.Client).Options().Addr
	for _, silent := range []bool{false, true} {
		t.Run(map[bool]string{false: "cut", true: "silent"}[silent], func(t *testing.T) {
			p := newProxy(t, target)
			rdb := redis.NewClient(&redis.Options{Addr: p.addr, ContextTimeoutEnabled: true, PoolSize: 4})
			defer func() { _ = rdb.Close() }()
			prefix := fmt.Sprintf("test-outage-%d:", time.Now().UnixNano())
			store, err := redisstore.NewCache(rdb, &redisstore.CacheOptions{Prefix: prefix})
			require.NoError(t, err)
			defer func() { _ = store.Clear(context.Background(), "rag:emb:") }()
			l := &load{e: cache.Embedder(instant{}, store, nil)}
			l.start(16)
			defer func() { l.stop.Store(true); l.wg.Wait(); require.NoError(t, l.e.Close()) }()
			time.Sleep(time.Second)

			l.phase.Store(1) // it is lost, and not yet noticed
			if silent {
				p.dumb.Store(true)
			} else {
				p.cut()
			}
			time.Sleep(300 * time.Millisecond)
			l.phase.Store(2)
			time.Sleep(2*time.Second + rand.N(time.Second)) // go-redis tries again every second
			hits := l.e.Stats().Hits
			time.Sleep(50 * time.Millisecond)
			require.Equal(t, hits, l.e.Stats().Hits)

			l.phase.Store(3)
			returned := time.Now()
			if silent {
				p.dumb.Store(false)
			} else {
				require.NoError(t, p.open())
			}
			require.Eventually(t, func() bool { return l.e.Stats().Hits > hits+10 }, 5*time.Second, time.Millisecond)
			back := time.Since(returned)
			l.phase.Store(4)
			time.Sleep(500 * time.Millisecond)
			l.stop.Store(true)
			l.wg.Wait()
			calls := 0
			for _, took := range l.took {
				calls += len(took)
			}
			t.Logf("p99 before %v, while it was lost %v; in use %v after its return; %d of %d calls failed; %+v",
				l.p99(0), l.p99(2), back, l.failed.Load(), calls, l.e.Stats())
			require.Zero(t, l.failed.Load())
			require.LessOrEqual(t, l.p99(2), l.p99(0)+5*time.Millisecond)
			require.LessOrEqual(t, back, time.Second)
		})
	}
}

// failures is an observer that counts the events of neighbours that failed.
type failures struct{ n atomic.Int64 }

func (*failures) Begin(ctx context.Context, _ *holysheep.Call) context.Context { return ctx }
func (*failures) Wait(context.Context, *holysheep.Call, holysheep.Wait)        {}
func (f *failures) End(_ context.Context, call *holysheep.Call) {
	if call.Operation == "cache.semantic.store" && call.Err != nil {
		f.n.Add(1)
	}
}

// Similar questions go on being answered while Redis is lost: by the model, and from the cache once it is back.
func TestNeighboursLost(t *testing.T) {
	target := connect(t, false).(*redis.Client).Options().Addr
	for _, silent := range []bool{false, true} {
		t.Run(map[bool]string{false: "cut", true: "silent"}[silent], func(t *testing.T) {
			p := newProxy(t, target)
			rdb := redis.NewClient(&redis.Options{Addr: p.addr, ContextTimeoutEnabled: true, PoolSize: 4})
			defer func() { _ = rdb.Close() }()
			gw, seen := holysheeptest.Start(t), &failures{}
			gw.ReplyWhen(func(*holysheeptest.Request) bool { return true }, holysheeptest.Text("Within thirty days."))
			client := gw.Client(&holysheep.Options{Observer: seen})
			c := cache.Semantic(client, client.Embedder("", nil), newNeighbours(t, rdb, redisstore.NeighboursOptions{}), nil)
			defer func() { require.NoError(t, c.Close()) }()
			ask := func() (cached bool, took time.Duration) {
				start := time.Now()
				resp, err := c.Chat(t.Context(), &holysheep.ChatRequest{Messages: []holysheep.Message{holysheep.User("How do I send a parcel back?")}})
				require.NoError(t, err)
				return resp.Cached, time.Since(start)
			}
			ask()
			cached, _ := ask()
			require.True(t, cached)
			require.Zero(t, seen.n.Load())

			if silent {
				p.dumb.Store(true)
			} else {
				p.cut()
			}
			for range 4 { // until it is noticed
				cached, took := ask()
				require.False(t, cached)
				require.Less(t, took, 400*time.Millisecond)
			}
			require.Positive(t, seen.n.Load())
			for range 50 {
				cached, took := ask()
				require.False(t, cached)
				require.Less(t, took, 100*time.Millisecond)
			}
			if silent {
				p.dumb.Store(false)
			} else {
				require.NoError(t, p.open())
			}
			require.Eventually(t, func() bool { cached, _ := ask(); return cached }, 5*time.Second, 10*time.Millisecond)
		})
	}
}

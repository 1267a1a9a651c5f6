package cache_test

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"net/http"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holysheep-ai/holysheep-go"
	"github.com/holysheep-ai/holysheep-go/cache"
)

// plain answers every request, resolves it to itself and has one fingerprint.
type plain struct{}

func (plain) Chat(context.Context, *holysheep.ChatRequest) (*holysheep.ChatResponse, error) {
	return &holysheep.ChatResponse{Choices: []holysheep.Choice{{Message: holysheep.Assistant("x"), FinishReason: "stop"}}}, nil
}

func (plain) Stream(context.Context, *holysheep.ChatRequest) iter.Seq2[holysheep.StreamEvent, error] {
	return nil
}

func (plain) Resolve(req *holysheep.ChatRequest) (*holysheep.ChatRequest, string, error) {
	return req, "https://api.example.com/v1", nil
}

// spy is a store that has nothing and knows what it was asked for.
type spy struct{ key string }

func (s *spy) Get(_ context.Context, key string) ([]byte, bool, error) {
	s.key = key
	return nil, false, nil
}
func (*spy) Set(context.Context, string, []byte, time.Duration) error { return nil }
func (*spy) Delete(context.Context, ...string) error                  { return nil }

// keyOf is the key under which a store is asked for a request.
func keyOf(t *testing.T, req *holysheep.ChatRequest, opts *cache.ExactOptions, tags holysheep.Tags) string {
	t.Helper()
	store := &spy{}
	e := cache.Exact(plain{}, store, opts)
	ctx, _ := holysheep.NewScope(t.Context(), tags)
	_, err := e.Chat(ctx, req)
	require.NoError(t, err)
	require.NoError(t, e.Close())
	return store.key
}

// full is a request with every field of everything set. What is added to these types has to be set here as well:
// TestKeyKnowsEveryValue sees to it.
func full() *holysheep.ChatRequest {
	raw := func(s string) json.RawMessage { return json.RawMessage(s) }
	return &holysheep.ChatRequest{
		Model: holysheep.GPT41,
		Messages: []holysheep.Message{{
			Role: holysheep.RoleAssistant, Name: "ann", ToolCallID: "call_0", Refusal: "no", Reasoning: "because",
			Content: []holysheep.Part{
				holysheep.Text("Where is order 48291?"),
				holysheep.Image{URL: "https://example.com/a.png", Data: []byte{1, 2, 3}, MediaType: "image/png", Detail: "low"},
				holysheep.RawPart(`{"type":"audio","id":1}`),
			},
			ToolCalls: []holysheep.ToolCall{{
				Index: 1, ID: "call_1", Name: "find", Arguments: `{"id":48291}`, Extra: map[string]json.RawMessage{"signature": raw(`"abc"`)},
			}},
			Extra: map[string]json.RawMessage{"audio": raw(`{"id":"a"}`)},
		}},
		Temperature: new(0.7), TopP: new(0.9), MaxTokens: new(2048), Stop: []string{"END"}, Seed: new(int64(7)), N: new(2),
		PresencePenalty: new(0.1), FrequencyPenalty: new(-0.1), Logprobs: true, TopLogprobs: new(3),
		ResponseFormat: &holysheep.ResponseFormat{
			Type: "json_schema", Name: "order", Strict: true, Schema: raw(`{"type":"object","properties":{"b":{"type":"string"},"a":{"type":"number"}}}`),
		},
		Tools: []holysheep.Tool{{
			Name: "find", Description: "finds an order", Strict: true, Parameters: raw(`{"type":"object","properties":{"id":{"type":"integer"}}}`),
		}},
		ToolChoice: "find", ParallelTools: new(true), ReasoningEffort: "low", User: "u1",
		Extra:   map[string]any{"top_k": 40, "provider": map[string]any{"order": []string{"a", "b"}, "fallback": false}},
		Headers: http.Header{"X-Region": {"eu", "cn"}},
	}
}

// golden are requests and the keys that they have had since the form of keys is what it is. Entries of other processes
// and versions are found by them: if one of these changes, everything that is in a store is lost at once.
var golden = []struct {
	name string
	req  func() *holysheep.ChatRequest
	opts *cache.ExactOptions
	tags holysheep.Tags
	key  string
}{
	{name: "nothing but a question", req: simple(nil), key: "hs:exact:1:ae7db4ac72c14b1f:e7aab1fe85af1d77b260658af20ae66f:71bd965231ada11374ded6e328de5781976ed3104e437d7a2b83451527e3121a"},
	{name: "no default of ours", req: func() *holysheep.ChatRequest { return &holysheep.ChatRequest{} }, key: "hs:exact:1:ae7db4ac72c14b1f:e7aab1fe85af1d77b260658af20ae66f:d328cdb21b41b6646bfeadb92eeceb697f615b8d85e4d7885d8a151cd7436451"},
	{name: "every field", req: full, key: "hs:exact:1:ae7db4ac72c14b1f:e7aab1fe85af1d77b260658af20ae66f:b4c51790b9408e0fb2fa19357cede57da37da14a5127514d0f47cde0d85ef029"},
	{name: "turns", key: "hs:exact:1:ae7db4ac72c14b1f:e7aab1fe85af1d77b260658af20ae66f:82aa3a391fd7c0908aee9918570a270a6cb7d994e1f69fd50055e5d14d4bc434", req: simple(func(r *holysheep.ChatRequest) {
		r.Messages = []holysheep.Message{
			holysheep.System("Be brief."), holysheep.User("你好,订单 48291 在哪?"), holysheep.Assistant("On its way."), holysheep.User("When?"),
		}
	})},
	{name: "parts", key: "hs:exact:1:ae7db4ac72c14b1f:e7aab1fe85af1d77b260658af20ae66f:ec038db652ec8890d854deb0c12f611ff4de4e8cdf0fa37c8dc90bd4f193cb92", req: simple(func(r *holysheep.ChatRequest) {
		r.Messages = []holysheep.Message{holysheep.User(
			"What is this?", holysheep.Image{URL: "https://example.com/a.png", Detail: "high"}, holysheep.Image{Data: []byte("PNG"), MediaType: "image/png"},
			holysheep.RawPart(`{ "type": "file", "file": {"b": 1, "a": "é"} }`),
		)}
	})},
	{name: "tools", key: "hs:exact:1:ae7db4ac72c14b1f:e7aab1fe85af1d77b260658af20ae66f:f5d5bd7f910bde75ece2a3f67bc9d04b902fc95857bb80e8a7a6425138b0f1c9", req: simple(func(r *holysheep.ChatRequest) {
		r.Tools = []holysheep.Tool{
			{Name: "now"},
			{Name: "find", Description: "finds", Strict: true, Parameters: json.RawMessage(`{"properties": {"z": {}, "a": {}}, "type": "object"}`)},
		}
		r.ToolChoice, r.ParallelTools = "required", new(false)
	})},
	{name: "tool calls and their results", key: "hs:exact:1:ae7db4ac72c14b1f:e7aab1fe85af1d77b260658af20ae66f:da9e5cf2a7cf5135f0866093fba5720ceb82398ed6f8afa68246057393905e8d", req: simple(func(r *holysheep.ChatRequest) {
		r.Messages = append(r.Messages,
			holysheep.Message{Role: holysheep.RoleAssistant, ToolCalls: []holysheep.ToolCall{{ID: "c1", Name: "now", Arguments: "{}"}, {Index: 1, ID: "c2", Name: "find"}}},
			holysheep.ToolResult("c1", "12:00"), holysheep.ToolResult("c2", "[]"))
	})},
	{name: "parameters", key: "hs:exact:1:ae7db4ac72c14b1f:e7aab1fe85af1d77b260658af20ae66f:5381dad6223e51dac0e005879b75949decaf8b79cead53e3f0d2182ef28674f8", req: simple(func(r *holysheep.ChatRequest) {
		r.Temperature, r.TopP, r.MaxTokens, r.Stop, r.Seed, r.N = new(0.0), new(1.0), new(1), []string{"a", ""}, new(int64(-1)), new(1)
		r.PresencePenalty, r.FrequencyPenalty, r.Logprobs, r.TopLogprobs, r.ReasoningEffort = new(-2.0), new(2.0), true, new(0), "minimal"
	})},
	{name: "an answer in JSON", key: "hs:exact:1:ae7db4ac72c14b1f:e7aab1fe85af1d77b260658af20ae66f:c88d601b6722a0cff81567671cd7c01ed2ca454df02503b8336557ae0a5198cf", req: simple(func(r *holysheep.ChatRequest) {
		r.ResponseFormat = &holysheep.ResponseFormat{Type: "json_object"}
	})},
	{name: "a schema", key: "hs:exact:1:ae7db4ac72c14b1f:e7aab1fe85af1d77b260658af20ae66f:ae17a43fa0610c820c599e5e5543fdfa6b0ac07a3d346756b54adc8a5de37708", req: simple(func(r *holysheep.ChatRequest) {
		r.ResponseFormat = &holysheep.ResponseFormat{
			Type: "json_schema", Name: "o", Strict: true, Schema: json.RawMessage(`{"type":"object","properties":{"b":{},"a":{}},"required":["b","a"]}`),
		}
	})},
	{name: "parameters of others, in the order of a map", key: "hs:exact:1:ae7db4ac72c14b1f:e7aab1fe85af1d77b260658af20ae66f:26fe415f2ab298268c899b2e6d3cec20aeae183f33f402ff250b7f6a08b1756c", req: simple(func(r *holysheep.ChatRequest) {
		r.Extra = map[string]any{
			"z": 1, "y": 1.5, "x": "<é>", "w": []any{true, nil}, "v": map[string]any{"b": 1, "a": map[string]int{"d": 1, "c": 2}},
			"u": json.RawMessage(`{"b" : 1.0, "a" : [1e3]}`),
		}
	})},
	{name: "headers, in the order of a map", key: "hs:exact:1:ae7db4ac72c14b1f:e7aab1fe85af1d77b260658af20ae66f:47da979f8e33012cb996560fdb92defb99355a8eff74c14ba98fb24399c8bc9d", req: simple(func(r *holysheep.ChatRequest) {
		r.Headers = http.Header{"X-C": {"3"}, "X-A": {"1", "2"}, "X-B": nil}
	})},
	{name: "more than is hashed at once", key: "hs:exact:1:ae7db4ac72c14b1f:e7aab1fe85af1d77b260658af20ae66f:1495187b8802f3e56b83a9f6ccc47c1282ef56edbe7697a634370a056bbbf507", req: simple(func(r *holysheep.ChatRequest) {
		for i := range 3000 {
			r.Messages = append(r.Messages, holysheep.User(fmt.Sprintf("turn %d", i)))
		}
	})},
	{name: "a tenant", req: simple(nil), tags: holysheep.Tags{"tenant": "acme"}, key: "hs:exact:1:ae7db4ac72c14b1f:0ce03a83adcd78c2c4945ce822d4153f:f6c6c04d7031879847b7ab7e610202b524c30e1707b170c0475ddec0c5fa6c72"},
	{name: "another tenant", req: simple(nil), tags: holysheep.Tags{"tenant": "globex", "feature": "returns"}, key: "hs:exact:1:ae7db4ac72c14b1f:ef0ebd6e4407a5c6b210321e94150df6:f42f64c151b4b558e8b5be6e1003639aa9fc0b3e088dd9d351ec8892b7b1a9fa"},
	{name: "a tenant by another tag", req: simple(nil), opts: &cache.ExactOptions{TenantTag: "org"}, tags: holysheep.Tags{"org": "acme"}, key: "hs:exact:1:ae7db4ac72c14b1f:e063cef21504dab2205924ad5ead0613:0277d8af2e0c49e6c9da2956e29a99a146a7a744e74eb9acc30454afa0a88b2c"},
	{name: "shared by tenants", req: simple(nil), opts: &cache.ExactOptions{ShareTenants: true}, tags: holysheep.Tags{"tenant": "acme"}, key: "hs:exact:1:ae7db4ac72c14b1f:d7bf908197c2ec22b53470ed5365385a:afbd7b8c3fef3c8ec33d953724b24eafd4f2609b9aadeb97dd4c3e4549347047"},
	{name: "a namespace", req: simple(nil), opts: &cache.ExactOptions{Namespace: "v2"}, key: "hs:exact:1:412120e5b5d943a6:e7aab1fe85af1d77b260658af20ae66f:d63e89aae8d5a29d1b7b5d77c9c5f401d093477a6d60c63a3faf76afa6060518"},
	{name: "a namespace and a tenant", req: simple(nil), opts: &cache.ExactOptions{Namespace: "v2"}, tags: holysheep.Tags{"tenant": "acme"}, key: "hs:exact:1:412120e5b5d943a6:0ce03a83adcd78c2c4945ce822d4153f:32e4085f484946a696a36a356fd6cdc9bf459eaf7f83e4f7c34077c9a5a9655e"},
	{name: "folded", req: simple(nil), opts: &cache.ExactOptions{FoldQuestion: true}, key: "hs:exact:1:ae7db4ac72c14b1f:e7aab1fe85af1d77b260658af20ae66f:eb1be51f8247456894463a082c40ff293c35c5d0a07d22876fafcbd5ebcee268"},
}

func simple(change func(r *holysheep.ChatRequest)) func() *holysheep.ChatRequest {
	return func() *holysheep.ChatRequest {
		r := &holysheep.ChatRequest{Model: "gpt-4.1", Messages: []holysheep.Message{holysheep.User("How do I return  order 48291?")}}
		if change != nil {
			change(r)
		}
		return r
	}
}

func TestGoldenKeys(t *testing.T) {
	form := regexp.MustCompile(`^hs:exact:\d+:[0-9a-f]{16}:[0-9a-f]{32}:[0-9a-f]{64}$`)
	seen := map[string]string{}
	for _, g := range golden {
		for range 20 { // maps come in another order every time
			key := keyOf(t, g.req(), g.opts, g.tags)
			require.Equal(t, g.key, key, "%s: the form of keys has changed. If that was meant, count exactPrefix up", g.name)
		}
		require.Regexp(t, form, g.key)
		require.Empty(t, seen[g.key], "%s has the key of another", g.name)
		seen[g.key] = g.name
	}
}

// change is one way to make a request another one.
type change struct {
	path string
	do   func()
}

// changes finds every value in v, which is addressable, and a way to change it; and the paths of those that are not set.
func changes(t *testing.T, v reflect.Value, path string) (all []change, unset []string) {
	t.Helper()
	if v.IsZero() {
		return nil, []string{path}
	}
	add := func(what string, do func()) { all = append(all, change{path + what, do}) }
	into := func(v reflect.Value, what string, then func()) {
		inner, missing := changes(t, v, path+what)
		for _, c := range inner {
			all = append(all, change{c.path, func() { c.do(); then() }})
		}
		unset = append(unset, missing...)
	}
	nothing := func() {}
	switch kind := v.Kind(); {
	case v.Type() == reflect.TypeFor[json.RawMessage](), v.Type() == reflect.TypeFor[holysheep.RawPart]():
		add(" in an array", func() { v.SetBytes([]byte("[" + string(v.Bytes()) + "]")) })
		add(" nil", v.SetZero)
	case kind == reflect.String:
		add(" longer", func() { v.SetString(v.String() + "x") })
		add(" empty", v.SetZero)
	case kind == reflect.Bool:
		add(" not", func() { v.SetBool(!v.Bool()) })
	case v.CanInt():
		add(" +1", func() { v.SetInt(v.Int() + 1) })
	case v.CanUint():
		add(" +1", func() { v.SetUint(v.Uint() + 1) })
	case v.CanFloat():
		add(" ×½", func() { v.SetFloat(v.Float() / 2) })
	case kind == reflect.Pointer:
		into(v.Elem(), "", nothing)
		add(" nil", v.SetZero)
	case kind == reflect.Struct:
		for i := range v.NumField() {
			into(v.Field(i), "."+v.Type().Field(i).Name, nothing)
		}
	case kind == reflect.Slice:
		for i := range v.Len() {
			into(v.Index(i), fmt.Sprintf("[%d]", i), nothing)
		}
		add(" twice", func() { v.Set(reflect.AppendSlice(v, v)) })
		add(" nil", v.SetZero)
	case kind == reflect.Interface:
		own := reflect.New(v.Elem().Type()).Elem()
		own.Set(v.Elem())
		if own.IsZero() { // a false somewhere in Extra
			add(" another", func() { v.Set(reflect.ValueOf("x")) })
			break
		}
		into(own, "", func() { v.Set(own) })
	case kind == reflect.Map:
		keys := v.MapKeys()
		slices.SortFunc(keys, func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) })
		for _, key := range keys {
			own := reflect.New(v.Type().Elem()).Elem()
			own.Set(v.MapIndex(key))
			name := "[" + key.String() + "]"
			into(own, name, func() { v.SetMapIndex(key, own) })
			add(name+" gone", func() { v.SetMapIndex(key, reflect.Value{}) })
			add(name+" renamed", func() {
				v.SetMapIndex(key, reflect.Value{})
				v.SetMapIndex(reflect.ValueOf(key.String()+"x"), own)
			})
		}
		if v.Len() > 1 { // else that is the same as its only one gone
			add(" nil", v.SetZero)
		}
	default:
		t.Fatalf("%s: this test does not know how to change a %v", path, v.Type())
	}
	return all, unset
}

// Whatever can change an answer changes the key: every value in a request in turn, down to the last one, and no two
// changes come to the same key. A field that is added to a request, a message, a part or a tool fails this until it is in
// the key and in full.
func TestKeyKnowsEveryValue(t *testing.T) {
	find := func() []change {
		all, unset := changes(t, reflect.ValueOf(full()).Elem(), "")
		require.Empty(t, unset, "not set in full()")
		return all
	}
	seen := map[string]string{keyOf(t, full(), nil, nil): "as it was"}
	total := len(find())
	require.Greater(t, total, 90)
	for i := range total {
		r := full()
		all, _ := changes(t, reflect.ValueOf(r).Elem(), "")
		require.Len(t, all, total)
		all[i].do()
		key := keyOf(t, r, nil, nil)
		require.Empty(t, seen[key], "%s does not change the key", all[i].path)
		seen[key] = all[i].path
	}
}

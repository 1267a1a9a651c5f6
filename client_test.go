package holysheep_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/holysheep-ai/holysheep-go"
	"github.com/holysheep-ai/holysheep-go/holysheeptest"
)

func TestKeys(t *testing.T) {
	const elsewhere = "https://llm.example.com/v1"
	for _, r := range []struct {
		key, baseURL string
		anyKey       bool
		reason       string // "" when the key is accepted
	}{
		{key: "hs_0123456789abcdef"},
		{key: "cr_0123456789abcdef"},
		{key: "sk-0123456789abcdef"},
		{key: "sk_0123456789abcdef"},
		{key: "  hs_0123456789abcdef\n"},
		{key: "", reason: "empty"},
		{key: " \t\n", reason: "empty"},
		{key: "hs_0123 456789", reason: "white space"},
		{key: "hs_0123\n456789", reason: "white space"},
		{key: "hs_0123\x00456789", reason: "control"},
		{key: "hs_0123\xff456789", reason: "UTF-8"},
		{key: "hs_0123é456789", reason: "ASCII"},
		{key: "AIzaSyB0123456789", reason: "does not look like a HolySheep key"},
		{key: "short", reason: "does not look like a HolySheep key"},
		{key: "AIzaSyB0123456789", anyKey: true},
		{key: "AIzaSyB0123456789", baseURL: elsewhere},
		{key: "AIzaSyB0123456789", baseURL: "https://eu.api.holysheep.ai", reason: "does not look like"},
		{key: "AIzaSyB0123456789", baseURL: "https://notholysheep.ai"},
		{key: "", baseURL: elsewhere, reason: "empty"},
	} {
		t.Run(fmt.Sprintf("%q %s", r.key, r.baseURL), func(t *testing.T) {
			_, err := holysheep.New(r.key, &holysheep.Options{BaseURL: r.baseURL, AnyKey: r.anyKey})
			if r.reason == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorIs(t, err, holysheep.ErrBadRequest)
			require.ErrorContains(t, err, r.reason)
			if key := strings.TrimSpace(r.key); len(key) > 6 {
				require.NotContains(t, err.Error(), key[3:], "the key is shown")
			}
		})
	}
}

func TestBaseURLs(t *testing.T) {
	for _, r := range []struct {
		in, out, reason string
		allowHTTP       bool
	}{
		{in: "", out: "https://api.holysheep.ai/v1"},
		{in: "https://api.holysheep.ai", out: "https://api.holysheep.ai/v1"},
		{in: "https://api.holysheep.ai/", out: "https://api.holysheep.ai/v1"},
		{in: "https://api.holysheep.ai/v1/", out: "https://api.holysheep.ai/v1"},
		{in: "  https://API.holysheep.ai/v1  ", out: "https://api.holysheep.ai/v1"},
		{in: "https://host:8443/openai/v1", out: "https://host:8443/openai/v1"},
		{in: "https://host/api//v3/", out: "https://host/api/v3"},
		{in: "http://localhost:8080", out: "http://localhost:8080/v1"},
		{in: "http://127.0.0.1:8080/v1", out: "http://127.0.0.1:8080/v1"},
		{in: "http://[::1]:8080/v1", out: "http://[::1]:8080/v1"},
		{in: "http://10.0.0.1/v1", out: "http://10.0.0.1/v1", allowHTTP: true},
		{in: "http://10.0.0.1/v1", reason: "in the open"},
		{in: "http://localhost.evil.example/v1", reason: "in the open"},
		{in: "api.holysheep.ai/v1", reason: "https://"},
		{in: "ftp://api.holysheep.ai", reason: "https://"},
		{in: "https:///v1", reason: "no host"},
		{in: "https://u:secret@host/v1", reason: "user name"},
		{in: "https://host/v1?x=1", reason: "query"},
		{in: "https://host/v1?", reason: "query"},
		{in: "https://host/v1#top", reason: "fragment"},
		{in: "https://host/v1#", reason: "fragment"},
		{in: "https://ho st/v1", reason: "white space"},
		{in: "https://host:port/v1", reason: "not a URL"},
	} {
		t.Run(r.in, func(t *testing.T) {
			c, err := holysheep.New("sk-0123456789", &holysheep.Options{BaseURL: r.in, AllowHTTP: r.allowHTTP})
			if r.reason != "" {
				require.ErrorIs(t, err, holysheep.ErrBadRequest)
				require.ErrorContains(t, err, r.reason)
				require.NotContains(t, err.Error(), "secret")
				return
			}
			require.NoError(t, err)
			require.Equal(t, r.out, c.BaseURL())
		})
	}
}

func FuzzBaseURL(f *testing.F) {
	for _, s := range []string{"https://host/v1", "http://localhost", "//x", "https://u:p@h", "https://h/../..", "https://[::1]:1/a?b#c"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		c, err := holysheep.New("hs_0123456789", &holysheep.Options{BaseURL: s, AnyKey: true})
		if err != nil {
			return
		}
		again, err := holysheep.New("hs_0123456789", &holysheep.Options{BaseURL: c.BaseURL(), AnyKey: true})
		if err != nil || again.BaseURL() != c.BaseURL() {
			t.Fatalf("%q became %q, which becomes %v, %v", s, c.BaseURL(), again, err)
		}
		u, err := url.Parse(c.BaseURL())
		if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
			t.Fatalf("%q became %q", s, c.BaseURL())
		}
	})
}

func TestBadOptions(t *testing.T) {
	for field, o := range map[string]holysheep.Options{
		"Options.MaxAttempts":       {MaxAttempts: 9},
		"Options.AmbiguousRetries":  {AmbiguousRetries: new(-1)},
		"Options.Temperature":       {Temperature: new(3.0)},
		"Options.MaxTokens":         {MaxTokens: new(0)},
		"Options.Model":             {Model: "two words"},
		"Options.StreamIdleTimeout": {StreamIdleTimeout: -time.Second},
		"Options.MaxEventBytes":     {MaxEventBytes: -1},
		`Options.Headers["Host"]`:   {Headers: http.Header{"Host": {"x"}}},
		`Options.Headers["X-A"]`:    {Headers: http.Header{"X-A": {"a\r\nb"}}},
	} {
		_, err := holysheep.New("hs_0123456789", &o)
		e, ok := errors.AsType[*holysheep.RequestError](err)
		require.True(t, ok, "%s: %v", field, err)
		require.Equal(t, field, e.Field)
	}
}

func TestFromEnv(t *testing.T) {
	t.Setenv("HOLYSHEEP_API_KEY", "")
	t.Setenv("HOLYSHEEP_BASE_URL", "")
	_, err := holysheep.FromEnv(nil)
	require.ErrorContains(t, err, "export HOLYSHEEP_API_KEY=")

	t.Setenv("HOLYSHEEP_API_KEY", "hs_0123456789")
	c, err := holysheep.FromEnv(nil)
	require.NoError(t, err)
	require.Equal(t, holysheep.DefaultBaseURL, c.BaseURL())

	t.Setenv("HOLYSHEEP_BASE_URL", "https://other.example/api")
	c, err = holysheep.FromEnv(nil)
	require.NoError(t, err)
	require.Equal(t, "https://other.example/api", c.BaseURL())

	c, err = holysheep.FromEnv(&holysheep.Options{BaseURL: "https://third.example"})
	require.NoError(t, err)
	require.Equal(t, "https://third.example/v1", c.BaseURL())
}

// The canary key and prompt are looked for in everything the client says, also when the server says them first.
func TestNothingLeaks(t *testing.T) {
	const prompt = canaryPrompt
	synctest.Test(t, func(t *testing.T) {
		var logged bytes.Buffer
		gw := holysheeptest.Start(t)
		c := gw.Client(&holysheep.Options{
			MaxAttempts: 2, Headers: http.Header{"X-Secret": {"canary-header"}},
			Observer: holysheep.SlogObserver(slog.New(slog.NewJSONHandler(&logged, nil))),
		})
		echo := "the key " + holysheeptest.Key + " may not say " + prompt
		for _, r := range []*holysheeptest.Reply{
			holysheeptest.Error(401, "invalid_api_key", echo),
			holysheeptest.Error(400, "", echo),
			holysheeptest.HTML(502, "<p>"+echo+"</p>"),
			holysheeptest.HTML(200, "<p>"+echo+"</p>"),
			holysheeptest.Raw(500, "text/plain", echo),
			holysheeptest.Raw(200, "text/event-stream", "data: {\"error\":{\"message\":\""+echo+"\"}}\n\n"),
			holysheeptest.Raw(200, "text/event-stream", "data: "+echo+"\n\n"),
			holysheeptest.Raw(200, "application/json", `{"error":{"message":"`+echo+`"}}`),
			holysheeptest.Reset(),
			holysheeptest.Text("x").CutAfter(0),
		} {
			gw.ReplyWhen(func(*holysheeptest.Request) bool { return true }, r)
			_, err := c.Chat(t.Context(), ask(prompt))
			require.Error(t, err)
			streamErr := drainStream(t.Context(), c, ask(prompt)).err
			require.Error(t, streamErr)
			for _, e := range []error{err, streamErr} {
				for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
					noCanary(t, fmt.Sprintf(verb, e))
				}
				raw, _ := json.Marshal(e)
				noCanary(t, string(raw))
			}
			gw = holysheeptest.Start(t)
			c = gw.Client(&holysheep.Options{
				MaxAttempts: 2, Observer: holysheep.SlogObserver(slog.New(slog.NewJSONHandler(&logged, nil))),
			})
		}
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			noCanary(t, fmt.Sprintf(verb, c))
			noCanary(t, fmt.Sprintf(verb, struct{ C *holysheep.Client }{c}))
			noCanary(t, fmt.Sprintf(verb, c.Recorder()))
		}
		raw, err := json.Marshal(any(c)) //nolint:staticcheck // that it shows nothing is the point
		require.NoError(t, err)
		noCanary(t, string(raw))
		slog.New(slog.NewTextHandler(&logged, nil)).Info("client", "client", c)
		noCanary(t, logged.String())
		require.NotEmpty(t, logged.String())
	})
}

const canaryPrompt = "canary-prompt-7f3b9c1d2e"

func noCanary(t *testing.T, s string) {
	t.Helper()
	require.NotContains(t, s, holysheeptest.Key)
	require.NotContains(t, s, fmt.Sprintf("%x", holysheeptest.Key))
	require.NotContains(t, s, canaryPrompt)
}

func TestRotatingKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gw := holysheeptest.Start(t)
		gw.Reply(holysheeptest.Status(429), holysheeptest.Text("x"))
		n := 0
		c := gw.Client(&holysheep.Options{Key: func(context.Context) (string, error) {
			n++
			if n > 2 {
				return "", errors.New("vault sealed")
			}
			return fmt.Sprintf("hs_key_number_%d", n), nil
		}})
		_, err := c.Chat(t.Context(), ask("x"))
		require.NoError(t, err)
		require.Equal(t, "Bearer hs_key_number_1", gw.Requests()[0].Header.Get("Authorization"))
		require.Equal(t, "Bearer hs_key_number_2", gw.Requests()[1].Header.Get("Authorization"))
		_, err = c.Chat(t.Context(), ask("x"))
		require.ErrorContains(t, err, "vault sealed")
		require.Equal(t, 2, gw.Count())
	})
}

func TestHeaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gw := holysheeptest.Start(t)
		c := gw.Client(&holysheep.Options{Headers: http.Header{"X-Team": {"search"}, "X-Env": {"prod"}, "User-Agent": {"shop/1"}}})
		req := ask("x")
		req.Headers = http.Header{"x-team": {"support"}}
		_, err := c.Chat(t.Context(), req)
		require.NoError(t, err)
		h := gw.Requests()[0].Header
		require.Equal(t, []string{"support"}, h["X-Team"])
		require.Equal(t, "prod", h.Get("X-Env"))
		require.Equal(t, "shop/1", h.Get("User-Agent"))

		req.Headers = http.Header{"authorization": {"Bearer other"}}
		_, err = c.Chat(t.Context(), req)
		require.ErrorIs(t, err, holysheep.ErrBadRequest)
	})
}

func TestModels(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gw := holysheeptest.Start(t)
		c := gw.Client(nil)
		names, err := c.Models(t.Context())
		require.NoError(t, err)
		require.Equal(t, []string{"gpt-4.1", "claude-sonnet-4.5", "gemini-2.5-flash", "deepseek-v3.2"}, names)
		require.Empty(t, c.Meter(), "it costs nothing")

		gw.ReplyWhen(func(*holysheeptest.Request) bool { return true }, holysheeptest.Status(401))
		_, err = c.Models(t.Context())
		require.ErrorIs(t, err, holysheep.ErrUnauthorized)
	})
}

func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gw := holysheeptest.Start(t)
		gw.Reply(holysheeptest.Text("slow").After(time.Minute))
		c := gw.Client(nil)
		start := time.Now()
		done := make(chan error)
		go func() {
			_, err := c.Chat(t.Context(), ask("x"))
			done <- err
		}()
		synctest.Wait()
		closed := make(chan struct{})
		go func() {
			_ = c.Close()
			close(closed)
		}()
		require.NoError(t, <-done, "what runs may finish")
		<-closed
		require.GreaterOrEqual(t, time.Since(start), time.Minute)
		require.NoError(t, c.Close(), "twice is fine")
		_, err := c.Chat(t.Context(), ask("x"))
		require.ErrorIs(t, err, holysheep.ErrClosed)
		require.ErrorIs(t, drainStream(t.Context(), c, ask("x")).err, holysheep.ErrClosed)
		_, err = c.Models(t.Context())
		require.ErrorIs(t, err, holysheep.ErrClosed)
	})
}

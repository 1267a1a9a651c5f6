package cache

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/holysheep-ai/holysheep-go"
)

// question is what a request asks a semantic cache.
type question struct {
	text      string
	partition string // of everything else that can change the answer
	tenant    string
	tags      []string
}

// ask takes a request apart, or says why it is none for a semantic cache.
func (c *SemanticCache) ask(ctx context.Context, req *holysheep.ChatRequest) (q question, why string) {
	r, beneath, err := holysheep.Resolve(c.next, req)
	if err != nil {
		return q, "the request cannot be resolved" // next says what is wrong
	}
	if r.N != nil && *r.N > 1 {
		return q, "it asks for several answers"
	}
	last := len(r.Messages) - 1
	m := &r.Messages[last]
	if m.Role != holysheep.RoleUser {
		return q, "its last message is no user's"
	}
	for _, part := range m.Content {
		if _, ok := part.(holysheep.Text); !ok {
			return q, "its question is not only text"
		}
	}
	if q.text = m.Text(); strings.TrimSpace(q.text) == "" {
		return q, "its question is empty"
	}
	scope := holysheep.ScopeOf(ctx)
	if q.tenant = scope.Tag(c.opts.TenantTag); q.tenant == "" && len(scope.Tags()) > 0 {
		return q, "its scope has tags and no tenant"
	}
	if q.partition, err = c.partition(r, beneath, q.tenant); err != nil {
		return q, "it has a parameter that cannot be compared"
	}
	if c.opts.Tags != nil {
		q.tags = c.opts.Tags(ctx, req)
	}
	return q, ""
}

// partition hashes everything but the text of the last message.
func (c *SemanticCache) partition(r *holysheep.ChatRequest, beneath, tenant string) (string, error) {
	w := writer{}
	for _, s := range []string{"semantic/1", c.opts.Namespace, tenant, c.print, beneath} {
		w.string(s)
	}
	rest := *r
	rest.Messages = nil
	w.count(len(r.Messages))
	for i := range r.Messages {
		m := r.Messages[i]
		if i == len(r.Messages)-1 {
			m.Content = nil
		}
		if err := w.message(&m); err != nil {
			return "", err
		}
	}
	params, err := json.Marshal(rest)
	if err != nil {
		return "", err
	}
	w.bytes(params)
	sum := sha256.Sum256(w.b)
	return hex.EncodeToString(sum[:]), nil
}

// id names the entry of a question, in its partition and beyond: two partitions have no id in common.
func (q *question) id() string {
	sum := sha256.Sum256([]byte(q.partition + q.text))
	return hex.EncodeToString(sum[:16])
}

// bookName is that of the counters: caches that count the same things share them.
func (c *SemanticCache) bookName() string {
	var names []string
	for _, g := range c.opts.Guards {
		names = append(names, g.Name())
	}
	sum := sha256.Sum256([]byte(fmt.Sprintf("%q %q %q", c.opts.Namespace, c.print, names)))
	return "semantic/1/" + hex.EncodeToString(sum[:16])
}

package cache

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/holysheep-ai/holysheep-go"
)

// semanticPrefix begins the hash of what questions have to have in common. The number counts up when that changes.
const semanticPrefix = "hs:semantic:1:"

// question is what a request asks a semantic cache.
type question struct {
	text      string
	partition string // of everything else that can change the answer
	tenant    string
	tags      []string
	ttl       time.Duration
	refresh   bool // nothing is served
	only      bool // nothing is asked
}

// ask takes a request apart, or says why it is none for a semantic cache. The error is for the caller.
func (c *SemanticCache) ask(ctx context.Context, req *holysheep.ChatRequest) (q question, why string, err error) {
	p := perCallOf(ctx)
	if p.bypass {
		return q, "the call is to bypass caches", nil
	}
	if err := p.problem(); err != nil {
		return q, "", err
	}
	r, beneath, err := resolve(ctx, c.next, req)
	if err != nil {
		return q, "the request cannot be resolved", nil //nolint:nilerr // next says what is wrong
	}
	if r.N != nil && *r.N > 1 {
		return q, "it asks for several answers", nil
	}
	last := len(r.Messages) - 1
	m := r.Messages[last]
	if m.Role != holysheep.RoleUser {
		return q, "its last message is no user's", nil
	}
	for _, part := range m.Content {
		if _, ok := part.(holysheep.Text); !ok {
			return q, "its question is not only text", nil
		}
	}
	q = question{text: m.Text(), ttl: c.opts.TTL, refresh: p.refresh, only: p.only}
	if strings.TrimSpace(q.text) == "" {
		return q, "its question is empty", nil
	}
	if p.ttlSet {
		q.ttl = p.ttl
	}
	scope := holysheep.ScopeOf(ctx)
	if q.tenant = scope.Tag(c.opts.TenantTag); q.tenant == "" && len(scope.Tags()) > 0 {
		return q, "its scope has tags and no tenant", nil
	}
	rest := *r
	rest.Messages = slices.Clone(r.Messages)
	rest.Messages[last].Content = nil
	k, err := keyOf(c.space, tenantPart(c.opts.TenantTag, q.tenant, false), &rest, beneath, false)
	if err != nil {
		return q, "it has a parameter that cannot be compared", nil //nolint:nilerr // next says what is wrong
	}
	q.partition = hex.EncodeToString(k.sum[:])
	if c.opts.Tags != nil {
		q.tags = c.opts.Tags(ctx, req)
	}
	return q, "", nil
}

// spaceName is what all partitions of the cache have in common.
func (c *SemanticCache) spaceName() string {
	return fmt.Sprintf("%s%q:%q:", semanticPrefix, c.opts.Namespace, c.print)
}

// id names the entry of a question, in its partition and beyond: two partitions have no id in common.
func (q *question) id() string {
	sum := sha256.Sum256([]byte(q.partition + q.text))
	return hex.EncodeToString(sum[:16])
}

// bookName is that of the counters: caches that count the same things share them.
func (c *SemanticCache) bookName() string {
	sum := sha256.Sum256([]byte(fmt.Sprintf("%q %q %q", c.opts.Namespace, c.print, c.guardNames())))
	return semanticPrefix + hex.EncodeToString(sum[:16])
}

func (c *SemanticCache) guardNames() (names []string) {
	for _, g := range c.opts.Guards {
		names = append(names, g.Name())
	}
	return names
}

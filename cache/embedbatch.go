package cache

import (
	"context"
	"slices"
)

// embedBatch is what one call has to look for, or to send, on behalf of all calls that want the same texts meanwhile.
// It runs on its own, so that no caller who leaves takes it along; when the last of them has left, it is cancelled.
type embedBatch struct {
	items   []*embedItem
	callers int // under the embedder's mu
	cancel  context.CancelFunc
	sent    int           // texts; after done
	done    chan struct{} // everything is there, and stored
}

// embedItem is a text of a batch.
type embedItem struct {
	batch     *embedBatch
	key, text string

	// After the batch is done.
	vector []float32
	err    error
}

// together gives the vectors of distinct texts: kept, sent by this call, or by another one that wants them as well.
func (e *embedder) together(ctx context.Context, keys, texts []string, enc encoder) (vectors [][]float32, sent int, err error) {
	items, own := e.join(ctx, keys, texts, enc)
	batches := batchesOf(items)
	defer e.leave(batches)
	for _, b := range batches {
		select {
		case <-b.done:
		case <-ctx.Done():
			return nil, 0, ctx.Err()
		}
	}
	if own != nil {
		sent = own.sent
	}
	vectors = make([][]float32, len(items))
	var failed []int
	for i, item := range items {
		switch {
		case item.err == nil:
			vectors[i] = item.vector
		case item.batch == own:
			return nil, sent, item.err
		default:
			failed = append(failed, i)
		}
	}
	if len(failed) == 0 {
		return vectors, sent, nil
	}
	// Whatever was wrong with the call that others made, with its other texts or with its budget, may not be wrong here.
	failedKeys, failedTexts := make([]string, len(failed)), make([]string, len(failed))
	for n, i := range failed {
		failedKeys[n], failedTexts[n] = keys[i], texts[i]
	}
	sent += len(failed)
	again, err := e.alone(ctx, failedKeys, failedTexts, enc)
	if err != nil {
		return nil, sent, err
	}
	for n, i := range failed {
		vectors[i] = again[n]
	}
	return vectors, sent, nil
}

// join gives an item for each text: one that is on its way, or one of a batch of this call's own, which is started.
// own is nil when there is nothing in it.
func (e *embedder) join(ctx context.Context, keys, texts []string, enc encoder) (items []*embedItem, own *embedBatch) {
	e.mu.Lock()
	defer e.mu.Unlock()
	items = make([]*embedItem, len(keys))
	for i, key := range keys {
		item := e.items[key]
		if item == nil {
			if own == nil {
				own = &embedBatch{done: make(chan struct{})}
			}
			item = &embedItem{batch: own, key: key, text: texts[i]}
			own.items = append(own.items, item)
			e.items[key] = item
		}
		items[i] = item
	}
	for _, b := range batchesOf(items) {
		b.callers++
	}
	if own != nil {
		batchCtx, cancel := context.WithCancel(context.WithoutCancel(ctx))
		own.cancel = cancel
		e.running.Go(func() { e.run(batchCtx, own, enc) })
	}
	return items, own
}

func batchesOf(items []*embedItem) (batches []*embedBatch) {
	for _, item := range items {
		if len(batches) > 0 && batches[len(batches)-1] == item.batch {
			continue // the usual case
		}
		if !slices.Contains(batches, item.batch) {
			batches = append(batches, item.batch)
		}
	}
	return batches
}

// leave ends what only this caller wanted.
func (e *embedder) leave(batches []*embedBatch) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, b := range batches {
		if b.callers--; b.callers == 0 {
			b.cancel()
			e.forget(b)
		}
	}
}

// forget lets the texts of a batch be looked for anew. The lock is held.
func (e *embedder) forget(b *embedBatch) {
	for _, item := range b.items {
		if e.items[item.key] == item {
			delete(e.items, item.key)
		}
	}
}

// run looks for the texts of a batch, sends those that are not kept, and keeps them.
func (e *embedder) run(ctx context.Context, b *embedBatch, enc encoder) {
	defer b.cancel()
	defer close(b.done)
	defer func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.forget(b)
	}()
	keys := make([]string, len(b.items))
	for i, item := range b.items {
		keys[i] = item.key
	}
	var missing []*embedItem
	for i, raw := range e.shelf.getMany(ctx, keys) {
		item := b.items[i]
		if raw != nil {
			if item.vector = parseVector(raw); item.vector != nil {
				continue
			}
			e.shelf.spoiled()
		}
		missing = append(missing, item)
	}
	if len(missing) == 0 {
		return
	}
	b.sent = len(missing)
	keys, texts := make([]string, len(missing)), make([]string, len(missing))
	for i, item := range missing {
		keys[i], texts[i] = item.key, item.text
	}
	vectors, err := enc.all(ctx, texts)
	for i, item := range missing {
		if item.err = err; err == nil {
			item.vector = vectors[i]
		}
	}
	if err == nil {
		e.keep(ctx, keys, vectors)
	}
}

package redisstore

// Prefix is what the keys of l's accounts begin with.
func Prefix(l *Ledger) string { return l.prefix }

// Waiting is how many steps wait for a pipeline.
func Waiting(l *Ledger) int {
	l.steps.mu.Lock()
	defer l.steps.mu.Unlock()
	return len(l.steps.waiting)
}

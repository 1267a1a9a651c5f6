package redisstore

// Prefix is what the keys of l's accounts begin with.
func Prefix(l *Ledger) string { return l.prefix }

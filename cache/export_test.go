package cache

// Normalize is for tests.
func Normalize(v []float32) bool { return normalize(v) }

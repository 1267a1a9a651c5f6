package main

import (
	"maps"
	"slices"
)

// cacheJobs measure caches, for this client alone.
var cacheJobs = map[string]func(name, url string, scale float64) (result, error){
	"semantic-10k":  func(string, string, float64) (result, error) { return semanticHits(10_000, 3000) },
	"semantic-100k": func(string, string, float64) (result, error) { return semanticHits(100_000, 400) },
}

// caches writes their table: microseconds, beside a measure of the machine in the same run.
func caches(self, url string, scale float64) error {
	return list(self, url, scale, "caches", "by the real clock", "", slices.Sorted(maps.Keys(cacheJobs)))
}

package main

import (
	"fmt"
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
	fmt.Print("\n**caches** (by the real clock)\n\n| what | |\n|---|---|\n")
	for _, job := range slices.Sorted(maps.Keys(cacheJobs)) {
		r, err := measure(self, url, "holysheep", job, scale)
		if err != nil {
			return err
		}
		for _, l := range r.Limits {
			fmt.Printf("| %s | %.2f |\n", l.Name, l.Value)
		}
	}
	return nil
}

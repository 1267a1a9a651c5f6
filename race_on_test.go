//go:build race

package holysheep_test

// The race detector slows everything down about ten times: the long tests are shorter under it.
const raceEnabled = true

//go:build !race

package holysheep_test

const raceEnabled = false

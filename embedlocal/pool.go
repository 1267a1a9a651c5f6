package embedlocal

import "math"

// mean is the mean of the first n vectors of a row, those that are not padding.
func mean(row []float32, n, dims int) []float32 {
	sums := make([]float64, dims)
	for t := range n {
		for d, x := range row[t*dims : (t+1)*dims] {
			sums[d] += float64(x)
		}
	}
	v := make([]float32, dims)
	for d, s := range sums {
		v[d] = float32(s / float64(n))
	}
	return v
}

// normalize makes v of unit length, and reports whether that is possible.
func normalize(v []float32) bool {
	var sum float64
	for _, x := range v {
		sum += float64(x) * float64(x)
	}
	length := math.Sqrt(sum)
	if math.IsNaN(length) || math.IsInf(length, 0) || length == 0 {
		return false
	}
	for i := range v {
		v[i] = float32(float64(v[i]) / length)
	}
	return true
}

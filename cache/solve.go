package cache

import "math"

// Matrices as small as the model's: a library would weigh more than these lines.
type (
	vector [features]float64
	matrix [features]vector
)

func (a *vector) dot(b *vector) float64 {
	s := 0.0
	for i := range a {
		s += a[i] * b[i]
	}
	return s
}

// cholesky gives the lower triangle l with l·lᵀ = m, for m symmetric and positive.
func (m *matrix) cholesky() (l matrix) {
	for i := range features {
		for j := range i + 1 {
			s := m[i][j]
			for k := range j {
				s -= l[i][k] * l[j][k]
			}
			if i == j {
				l[i][i] = math.Sqrt(max(s, 1e-12)) // rounding
			} else {
				l[i][j] = s / l[j][j]
			}
		}
	}
	return l
}

// inverse is that of the matrix whose triangle m is.
func (m *matrix) inverse() (inv matrix) {
	for column := range features {
		var y vector // l·y = e
		for i := range features {
			s := 0.0
			if i == column {
				s = 1
			}
			for k := range i {
				s -= m[i][k] * y[k]
			}
			y[i] = s / m[i][i]
		}
		for i := features - 1; i >= 0; i-- { // lᵀ·x = y
			s := y[i]
			for k := i + 1; k < features; k++ {
				s -= m[k][i] * inv[k][column]
			}
			inv[i][column] = s / m[i][i]
		}
	}
	return inv
}

func sigmoid(z float64) float64 { return 1 / (1 + math.Exp(-z)) }

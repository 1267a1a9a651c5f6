// Package guard tells questions apart that an encoder takes for the same: "order 48291" and "order 48292" have a cosine
// of 0.996. A guard looks at two questions and says whether they may share an answer, as far as it can see. Package
// cache asks all of them before it serves an answer to a question that is only similar.
//
//	name := guard.First(guard.All(), "Where is order 48291?", "Where is order 48292?") // "numbers"
//
// Guards read English and Chinese. They go by rules, and do not understand: words that are exchanged for others in the
// same sentence are taken for another question unless they are close in spelling or known to mean the same, and two
// sentences that are built quite differently are compared by their numbers, names, negations and directions alone. What
// differs only in tone, or in what was said before, no guard can see.
package guard

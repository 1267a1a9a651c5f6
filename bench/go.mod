module github.com/holysheep-ai/holysheep-go/bench

go 1.26

require github.com/holysheep-ai/holysheep-go v0.0.0

replace github.com/holysheep-ai/holysheep-go => ../

package redisstore

import (
	"github.com/redis/go-redis/v9"

	"github.com/holysheep-ai/holysheep-go"
)

// checkDeadlines refuses a client that would not honour the deadlines of contexts.
func checkDeadlines(rdb redis.UniversalClient) error {
	if _, ok := rdb.(*redis.AutoPipeliner); ok {
		return &holysheep.RequestError{
			Field:  "redis.AutoPipeliner",
			Reason: "does not end with the context of a call (a silent Redis took 10 s for one of 100 ms): give the client itself",
		}
	}
	if honoursDeadlines(rdb) {
		return nil
	}
	return &holysheep.RequestError{
		Field:  "redis.Options.ContextTimeoutEnabled",
		Reason: "has to be set: without it a silent Redis holds every call for seconds, whatever its context says",
	}
}

func honoursDeadlines(rdb redis.UniversalClient) bool {
	switch c := rdb.(type) {
	case *redis.Client:
		return c.Options().ContextTimeoutEnabled
	case *redis.ClusterClient:
		return c.Options().ContextTimeoutEnabled
	case *redis.Ring:
		return c.Options().ContextTimeoutEnabled
	}
	return true // not one that we know
}

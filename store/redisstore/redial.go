package redisstore

import (
	"context"
	"net"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// redial is a hook that dials again when a connection that could not be made is first used, and lets that use fail if
// it still cannot. Without it go-redis counts dials that fail: after as many as its pool is large it makes none for up
// to a second, so that a Redis that is back after a longer outage was in use only after 1.7 s.
type redial struct{}

// dialsAgain adds the hook to a client. A cluster's goes to each node's client when that is made.
func dialsAgain(rdb redis.UniversalClient) {
	onNode := func(node *redis.Client) { node.AddHook(redial{}) }
	switch rdb := rdb.(type) {
	case *redis.Client:
		onNode(rdb)
	case *redis.ClusterClient:
		rdb.OnNewNode(onNode)
	case *redis.Ring:
		rdb.OnNewNode(onNode)
	}
}

func (redial) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := next(ctx, network, addr)
		if err == nil {
			return conn, nil
		}
		return &lateConn{dial: func(ctx context.Context) (net.Conn, error) { return next(ctx, network, addr) }}, nil
	}
}

func (redial) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }

func (redial) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// lateConn is a connection that is made when it is first used. go-redis writes first, under a deadline.
type lateConn struct {
	dial func(ctx context.Context) (net.Conn, error)

	mu          sync.Mutex
	conn        net.Conn
	read, write time.Time // deadlines set before there was a connection
	closed      bool
}

// now gives the connection, and makes it if there is none.
func (c *lateConn) now() (net.Conn, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conn != nil {
		return c.conn, nil
	}
	if c.closed {
		return nil, net.ErrClosed
	}
	ctx := context.Background()
	if !c.write.IsZero() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, c.write)
		defer cancel()
	}
	conn, err := c.dial(ctx)
	if err != nil {
		return nil, err
	}
	_ = conn.SetReadDeadline(c.read)
	_ = conn.SetWriteDeadline(c.write)
	c.conn = conn
	return conn, nil
}

// there gives the connection, nil if there is none yet.
func (c *lateConn) there() net.Conn {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.conn
}

func (c *lateConn) Read(b []byte) (int, error) {
	conn, err := c.now()
	if err != nil {
		return 0, err
	}
	return conn.Read(b)
}

func (c *lateConn) Write(b []byte) (int, error) {
	conn, err := c.now()
	if err != nil {
		return 0, err
	}
	return conn.Write(b)
}

func (c *lateConn) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	if c.conn == nil {
		return nil
	}
	return c.conn.Close()
}

func (c *lateConn) LocalAddr() net.Addr {
	if conn := c.there(); conn != nil {
		return conn.LocalAddr()
	}
	return &net.TCPAddr{}
}

func (c *lateConn) RemoteAddr() net.Addr {
	if conn := c.there(); conn != nil {
		return conn.RemoteAddr()
	}
	return &net.TCPAddr{}
}

func (c *lateConn) SetDeadline(t time.Time) error { return c.deadline(t, true, true) }

func (c *lateConn) SetReadDeadline(t time.Time) error { return c.deadline(t, true, false) }

func (c *lateConn) SetWriteDeadline(t time.Time) error { return c.deadline(t, false, true) }

func (c *lateConn) deadline(t time.Time, read, write bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if read {
		c.read = t
	}
	if write {
		c.write = t
	}
	switch {
	case c.conn == nil:
		return nil
	case read && write:
		return c.conn.SetDeadline(t)
	case read:
		return c.conn.SetReadDeadline(t)
	}
	return c.conn.SetWriteDeadline(t)
}

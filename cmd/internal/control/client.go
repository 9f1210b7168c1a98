package control

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"time"
)

// callPatience is how long a client waits for the answer; binding thousands of ports takes
// its time.
const callPatience = 30 * time.Second

// lookPatience is how long one waits to learn what an instance is.
const lookPatience = time.Second

// Call asks the instance at path. An error says that it was not reached or has refused.
func Call(path string, q *Request) (*Response, error) { return call(path, q, callPatience) }

func call(path string, q *Request, wait time.Duration) (*Response, error) {
	c, err := net.DialTimeout("unix", path, patience)
	if err != nil {
		return nil, fmt.Errorf("reach the instance: %w", err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(wait)); err != nil {
		return nil, err
	}
	if err := json.NewEncoder(c).Encode(q); err != nil {
		return nil, fmt.Errorf("ask %s: %w", path, err)
	}
	var r Response
	if err := json.NewDecoder(c).Decode(&r); err != nil {
		return nil, fmt.Errorf("no answer from %s (is it the control socket of an instance?): %w", path, err)
	}
	if r.Error != "" {
		return nil, errors.New(r.Error)
	}
	return &r, nil
}

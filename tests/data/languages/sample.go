// Package parcels sends parcels.
package parcels

import (
	"fmt"
	"io"
)

const Limit = 20

// Parcel is a thing to send.
type Parcel struct {
	Weight float64 `json:"weight"`
}

type (
	// Sender sends.
	Sender interface {
		io.Closer
		// Send sends one.
		Send(p *Parcel) error
	}
	ID    = string
	Stack[T any] []T
)

// HandlerFunc adapts.
type HandlerFunc func(p *Parcel) error

// Weigh returns the weight.
func (p *Parcel) Weigh() (float64, error) {
	round := func(x float64) float64 { return x }
	return round(p.Weight), nil
}

func (s Stack[T]) Push(x T) Stack[T] { return append(s, x) }
func (s *Stack[T]) Pop() (x T) { return }

func Map[T, U any](xs []T, f func(T) U) []U { return nil }

var Default = func() Sender { return nil }

func init() { fmt.Println("ready") }

func assembly(x *byte) int

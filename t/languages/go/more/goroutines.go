package main

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

func main() {
	var sum int64
	var wait sync.WaitGroup
	for i := 1; i <= 1000; i++ {
		wait.Add(1)
		go func(n int) {
			defer wait.Done()
			time.Sleep(time.Millisecond)
			atomic.AddInt64(&sum, int64(n))
		}(i)
	}
	wait.Wait()
	fmt.Println(sum)

	squares := make(chan int)
	go func() {
		defer close(squares)
		for i := 1; i <= 3; i++ {
			squares <- i * i
		}
	}()
	for n := range squares {
		fmt.Println(n)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	<-ctx.Done()
	fmt.Println(ctx.Err())
	func() {
		defer func() { fmt.Println("recovered:", recover()) }()
		var m map[string]int
		m["x"] = 1
	}()
}

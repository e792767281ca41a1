package main

import "os"

func main() {
	var numbers []int
	println(numbers[len(os.Args)])
}

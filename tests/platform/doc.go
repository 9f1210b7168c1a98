// Package platform states what the product assumes of the Linux kernel, as tests. Where one
// fails, or is passed over because the kernel is older, the product falls back to something
// slower or refuses to start: each test says which.
//
// This package imports nothing of the product.
package platform

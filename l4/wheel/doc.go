// Package wheel is a worker's timers: a hashed timer wheel (Varghese and Lauck, 1987) that
// holds references, not functions, and allocates nothing once it has grown to the number
// of timers in use.
//
// There is no way to cancel a timer. An owner keeps its own deadline: a reference that
// fires early is put back, one that belongs to nobody any more is ignored. So an activity
// timer that moves with every packet costs one store, and the wheel sees it once a
// period.
//
// The translators of l4 and the engine use it. It imports nothing of the project.
package wheel

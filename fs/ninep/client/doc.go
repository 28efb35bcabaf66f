// Package client reaches any 9P server in any of the three dialects, with many
// calls in flight on one connection. A remote tree is an fs.Node too, so that
// it can be mounted.
//
// A context that ends while its call is out becomes a Tflush; the call then
// ends when the server has forgotten it, and if its reply came first, that is
// used, so that nothing that a server gave away is lost. When the connection
// breaks, every call on it fails at once and for good: to dial again is the
// caller's decision.
//
// State: a conn owns tags, fid numbers and what waits to be sent, under one
// lock, which is never held while answers run. The reader runs the answers,
// so these do not wait. Lock order: a File's or handle's lock, then the conn's.
package client

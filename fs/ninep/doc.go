// Package ninep serves an fs.Node over 9P2000, 9P2000.u and 9P2000.L: one
// codec, one engine, the dialect a parameter.
//
// A Msg is any message; the table layouts is the protocol, from which
// messages are encoded, decoded and printed.
package ninep

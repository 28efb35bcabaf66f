// Package ninep serves an fs.Node over 9P2000, 9P2000.u and 9P2000.L: one
// codec, one engine, the dialect a parameter.
//
// A Msg is any message; the table layouts is the protocol, from which
// messages are encoded, decoded and printed. A conn is one client. Its reader
// decodes requests and carries them out one after the other, as nodes and handles
// do not block; what must wait is a parked request, which costs no goroutine.
// Nodes on other machines are the exception: an exchange that asks one leaves the
// reader's place to another goroutine. Replies are appended to the conn's out
// buffer. The reader writes it when it has no further complete request, so that
// replies which are ready together go out in one write.
//
// # Readers
//
// The reader of a unix or TCP socket that Serve accepted is a worker of a reactor,
// for as long as there is something to be read: a connection that is idle has no
// goroutine. Other connections, those that speak TLS, come from a virtual machine
// or are given to ServeConn, have a goroutine that reads. An answer that comes
// while the reader sleeps is written by a worker, or by a goroutine that lives as
// long as there is something to write.
//
// Why not a goroutine each: with Go's poller a request that comes alone costs a
// read in vain, a switch of goroutines, and on a unix socket one more wake-up
// when the client takes the answer, as the poller waits for room to write, too.
// A worker waits in epoll_wait(2) itself, for what can be read.
//
// # State
//
// The reader owns the buffer of what it has read. Who carries out a request
// holds conn.turn, which guards the fids: the reader, but while it waits for the
// next request, and an exchange that was away, when it is back. A fid that such
// an exchange uses is not moved or opened meanwhile, and is let go of when they
// are interrupted and over. conn.mu guards the out buffer, the parked requests,
// and what a fid keeps about those. It is the last lock in any order, as answers
// are given with locks of the answerer held, and it is never held over a system
// call, but that which wakes a reactor. The goroutine that set conn.writing is the
// only one that writes. A reactor's own lock comes even after conn.mu, and is held
// over nothing.
//
// # Flush
//
// Rflush goes out after the old request's reply is in the out buffer, or
// suppressed: the flush hangs itself on the parked request under conn.mu and
// interrupts it; whoever finishes the request, the interrupt or an answer that
// came first, appends the reply and the Rflush behind it. A message that was
// delivered, but of whose reply no byte reached the transport, is given back
// when the connection has ended.
//
// # Linux v9fs
//
// The kernel's client asks again for what a short read left, until its user's
// buffer is full or it gets 0 bytes. On a stream that would wait for the next
// message. So on streams a read that goes on exactly where a shorter
// answer ended, for exactly what was missing of it, is answered with 0 bytes,
// once. That is done for 9P2000.L, and for the other dialects if the attach
// name has the option v9fs (aname=v9fs, aname=/chans,v9fs). A client that reads
// into one buffer until it is full, as Go's io.ReadAll does, looks the same: on
// a stream it finds an end after each message; it should use 9P2000.
//
// In 9P2000 that option makes error texts those of errno as well: the kernel
// understands no others, and makes ESERVERFAULT of them.
package ninep

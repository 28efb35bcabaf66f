// Package sys is the one leaf that both columns of the house share: who asks
// (User), why not (Error), what every object of the tree has (Meta), and what
// a request looks like to something that may keep it waiting (Call).
//
// It imports nothing of ours. Nothing in it changes after it was made, but the
// ownership in a Meta and the cache in Users, which have their own locks and
// call nothing while they hold them.
package sys

import (
	"errors"
	"fmt"
	"syscall"
)

// An Error is a refusal: the text for the user, in lower case, which says what
// is wrong and what would be right, and the errno that means the same.
type Error struct {
	Errno syscall.Errno
	Text  string
}

func (e *Error) Error() string { return e.Text }

// Unwrap makes errors.Is(err, syscall.EBUSY) true of an Error with that errno.
func (e *Error) Unwrap() error { return e.Errno }

// Errorf makes an Error. A %w in the format is not kept: the errno says it all.
func Errorf(errno syscall.Errno, format string, args ...any) error {
	return &Error{Errno: errno, Text: fmt.Sprintf(format, args...)}
}

// Errno returns the number that an error is answered with: that of the
// syscall.Errno it wraps, 0 for nil, and EIO for an error that names none.
func Errno(err error) syscall.Errno {
	if err == nil {
		return 0
	}
	var no syscall.Errno
	if errors.As(err, &no) {
		return no
	}
	return syscall.EIO
}

// The facts that a request can run into anywhere. Refusals with numbers in
// them are made with Errorf where the numbers are known.
var (
	ErrPermission  error = &Error{syscall.EACCES, "permission denied"}
	ErrNotOwner    error = &Error{syscall.EPERM, "not the owner"}
	ErrNotExist    error = &Error{syscall.ENOENT, "file does not exist"}
	ErrExist       error = &Error{syscall.EEXIST, "file already exists"}
	ErrNotDir      error = &Error{syscall.ENOTDIR, "not a directory"}
	ErrIsDir       error = &Error{syscall.EISDIR, "is a directory"}
	ErrNotOpen     error = &Error{syscall.EBADF, "file not open for this"}
	ErrNoCreate    error = &Error{syscall.EPERM, "no file can be created here"}
	ErrNoRemove    error = &Error{syscall.EPERM, "this file cannot be removed"}
	ErrNoRename    error = &Error{syscall.EPERM, "this file cannot be renamed"}
	ErrInterrupted error = &Error{syscall.EINTR, "interrupted"}
	ErrAgain       error = &Error{syscall.EAGAIN, "would block"}
	ErrTooLong     error = &Error{syscall.EMSGSIZE, "message too long"}
	ErrClosed      error = &Error{syscall.EPIPE, "closed"}
	ErrGone        error = &Error{syscall.ENOENT, "object was removed"}
	ErrFull        error = &Error{syscall.ENOSPC, "no space left"}
	ErrLoop        error = &Error{syscall.ELOOP, "a loop: this leads back to a server on the way"}
)

// A Call is a request as seen by what answers it: a channel, a feed, a
// process's input. It is answered exactly once, from any goroutine, by
// whichever of Deliver, Done and Fail comes first; these never block and may
// be called with locks of the answerer held.
type Call interface {
	// Deliver answers a read with one message, which is copied. It is false
	// when the call is already answered or was cancelled: then the message
	// was not taken and must be kept. An empty message is end of file.
	// If lost is not nil it is called at most once, later and with no locks
	// held, when the front end found that no byte of the reply could be
	// handed to the transport: the message goes back to where it came from.
	Deliver(msg []byte, lost func()) bool
	// Done answers a write: n bytes were accepted.
	Done(n int) bool
	// Fail answers with an error.
	Fail(err error) bool
	// Park says that the answer will come later. Call it last, with no locks
	// held and after the call was put where its answer will be found (which
	// may already have happened). cancel is run, at most once, when the
	// request is flushed, interrupted or hung up: it takes the call out of
	// the queue and may answer it (a partly accepted write: Done(n)); if it
	// does not, the call fails with ErrInterrupted. It may take the locks of
	// the answerer and must not block.
	// The data of a write are the caller's again when Write returns: what
	// parks a write keeps a copy.
	Park(cancel func())
	// Nonblock says that the file was opened with O_NONBLOCK: where the call
	// would park, it fails with ErrAgain instead.
	Nonblock() bool
}

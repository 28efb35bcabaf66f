// Package hot runs RV32 images as code of the host: it translates them to
// WebAssembly, which wazero compiles. It does what rv's interpreter does, to
// the instruction: the same state after every budget, the same faults.
//
// An Engine makes a Module of an image, which any number of harts share that
// see their windows at the same addresses; an Instance runs harts over one
// memory, which it uses where it lies. wazero is pinned to v1.12.0, as speed
// rests on how that version lowers what is written here.
//
// # Translation
//
// Each function of the program becomes one of WebAssembly. Its graph of blocks
// is structured along its dominator tree (Ramsey, "Beyond Relooper", 2022);
// cycles with several entries get a dispatch node, here called a desk, and so
// do outer loops of which inner ones may be resumed. Registers are locals in a
// function, and globals between functions: those written are stored before a
// call and wherever the function is left, those needed are loaded at its
// beginning and behind calls that may have changed them.
//
// Functions are found by calls to them, by addresses that code makes, and by
// words of memory that look like it; so are the targets of jump tables. What
// is missed costs time only: a jump to it leaves for the interpreter.
//
// A module may have some of the functions only: where harts were seen, and small
// ones that are called from loops there. Calls of others leave for the
// interpreter. The module counts what that costs, so that its owner can have
// another one made that has what this one lacks.
//
// # Leaving
//
// Nothing faults here. Before an instruction that would, and before one that
// is not translated (system calls, CSRs, atomics, floating point), the
// function is left with the state as it is there, and the interpreter does it.
// A function returns the address where to go on, with bit 0 set if it was
// left; callers compare it with the one behind their call and, if it is another,
// return it in turn, until the interpreter has it.
//
// # Budget
//
// Cycles are subtracted block by block. At the beginning of functions and of
// loops the budget must suffice for the longest way to the next such place,
// else the function is left, and the interpreter does the rest. A call hands
// on a budget less by what may follow its return. Where calls may form a
// circle each takes a toll besides, returned with it, so that the budget bounds
// the depth of the host's stack; a recursion that is deeper goes on from the
// interpreter with a stack that is empty.
//
// A budget begins and ends anywhere, so the interpreter does its first and last
// instructions: from one entry or jump to the next, so that no entry is passed by
// and yet few instructions are done one by one. For a small budget it does all, and
// for a while where the code is left each time soon after it is entered.
//
// # Memory
//
// Every address is checked against the windows before wazero checks it
// against the memory. One check serves all accesses of a block that are
// relative to the same value.
package hot

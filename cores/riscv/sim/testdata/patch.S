# A program that changes one of its instructions, and a word that lies before it.
	.option arch, +zifencei
	.section .init, "ax"
	.globl _start
_start:	la	t0, word
	sw	t0, 0(t0)
	la	t0, place
	la	t1, other
	lw	t1, 0(t1)
	sw	t1, 0(t0)
	fence.i
	j	place

	.data
word:	.word	0

	.text
	.option norvc
	.globl place
place:	li	a0, 1
	li	a7, 94
	ecall
other:	li	a0, 0

#include "textflag.h"

// What a vector is read by: its octets in the reverse order.
DATA reverse<>+0(SB)/8, $0x08090a0b0c0d0e0f
DATA reverse<>+8(SB)/8, $0x0001020304050607
GLOBL reverse<>(SB), RODATA|NOPTR, $16

DATA one<>+0(SB)/8, $1
DATA one<>+8(SB)/8, $0
GLOBL one<>(SB), RODATA|NOPTR, $16

// func hasSHA() bool
TEXT ·hasSHA(SB), NOSPLIT, $0-1
	MOVB $0, ret+0(FP)
	MOVL $0, AX
	CPUID
	CMPL AX, $7
	JLT  none
	MOVL $7, AX
	MOVL $0, CX
	CPUID
	SHRL $29, BX
	ANDL $1, BX
	MOVB BX, ret+0(FP)
none:
	RET

// func subWord(w uint32) uint32
TEXT ·subWord(SB), NOSPLIT, $0-12
	MOVL            w+0(FP), AX
	MOVQ            AX, X0
	PSHUFD          $0, X0, X0
	AESKEYGENASSIST $0, X0, X0
	MOVQ            X0, AX
	MOVL            AX, ret+8(FP)
	RET

#define EACH(op, with) \
	op with, X0 \
	op with, X1 \
	op with, X2 \
	op with, X3 \
	op with, X4 \
	op with, X5 \
	op with, X6 \
	op with, X7

#define COUNTER(to) \
	MOVO   X8, to   \
	PSHUFB X9, to   \
	PADDQ  X10, X8

// func keystream(keys *[60]uint32, rounds int, high, low uint64, to *[128]byte)
TEXT ·keystream(SB), NOSPLIT, $0-40
	MOVQ   keys+0(FP), AX
	MOVQ   rounds+8(FP), CX
	MOVQ   to+32(FP), DI
	MOVQ   low+24(FP), X8
	PINSRQ $1, high+16(FP), X8
	MOVOU  reverse<>(SB), X9
	MOVOU  one<>(SB), X10
	COUNTER(X0)
	COUNTER(X1)
	COUNTER(X2)
	COUNTER(X3)
	COUNTER(X4)
	COUNTER(X5)
	COUNTER(X6)
	COUNTER(X7)
	MOVOU  (AX), X11
	EACH(PXOR, X11)
	DECQ   CX
round:
	ADDQ  $16, AX
	MOVOU (AX), X11
	EACH(AESENC, X11)
	DECQ  CX
	JNZ   round
	MOVOU 16(AX), X11
	EACH(AESENCLAST, X11)
	MOVOU X0, 0(DI)
	MOVOU X1, 16(DI)
	MOVOU X2, 32(DI)
	MOVOU X3, 48(DI)
	MOVOU X4, 64(DI)
	MOVOU X5, 80(DI)
	MOVOU X6, 96(DI)
	MOVOU X7, 112(DI)
	RET

// Four rounds of SHA-1. The state is in X0 and this; next gets what becomes of X0. The words
// of the message are w0, those after it w1, w2, w3, of which the later are made on the way.
#define ROUNDS(k, this, next, w0) \
	SHA1NEXTE w0, this  \
	MOVO      X0, next  \
	SHA1RNDS4 k, this, X0

#define EARLY(w0, w3)     SHA1MSG1 w0, w3
#define MIDDLE(w0, w2)    PXOR     w0, w2
#define LATE(w0, w1)      SHA1MSG2 w0, w1

// All three, in the middle of a block.
#define SCHEDULE(w0, w1, w2, w3) \
	LATE(w0, w1)   \
	EARLY(w0, w3)  \
	MIDDLE(w0, w2)

#define LOAD(at, to) \
	MOVOU  at(SI), to \
	PSHUFB X9, to

// func sha1Blocks(h *[5]uint32, p *byte, blocks int)
TEXT ·sha1Blocks(SB), NOSPLIT, $0-24
	MOVQ   h+0(FP), DI
	MOVQ   p+8(FP), SI
	MOVQ   blocks+16(FP), CX
	MOVOU  reverse<>(SB), X9
	MOVOU  (DI), X0
	PSHUFD $0x1b, X0, X0 // a is highest
	PXOR   X1, X1
	PINSRD $3, 16(DI), X1 // e alone
block:
	MOVO X0, X7
	MOVO X1, X8
	LOAD(0, X3)
	LOAD(16, X4)
	LOAD(32, X5)
	LOAD(48, X6)

	PADDD     X3, X1 // here e is itself, not what a turns into
	MOVO      X0, X2
	SHA1RNDS4 $0, X1, X0
	ROUNDS($0, X2, X1, X4)
	EARLY(X4, X3)
	ROUNDS($0, X1, X2, X5)
	EARLY(X5, X4)
	MIDDLE(X5, X3)
	SHA1NEXTE X6, X2
	MOVO      X0, X1
	LATE(X6, X3)
	SHA1RNDS4 $0, X2, X0
	EARLY(X6, X5)
	MIDDLE(X6, X4)
	ROUNDS($0, X1, X2, X3)
	SCHEDULE(X3, X4, X5, X6)

	ROUNDS($1, X2, X1, X4)
	SCHEDULE(X4, X5, X6, X3)
	ROUNDS($1, X1, X2, X5)
	SCHEDULE(X5, X6, X3, X4)
	ROUNDS($1, X2, X1, X6)
	SCHEDULE(X6, X3, X4, X5)
	ROUNDS($1, X1, X2, X3)
	SCHEDULE(X3, X4, X5, X6)
	ROUNDS($1, X2, X1, X4)
	SCHEDULE(X4, X5, X6, X3)

	ROUNDS($2, X1, X2, X5)
	SCHEDULE(X5, X6, X3, X4)
	ROUNDS($2, X2, X1, X6)
	SCHEDULE(X6, X3, X4, X5)
	ROUNDS($2, X1, X2, X3)
	SCHEDULE(X3, X4, X5, X6)
	ROUNDS($2, X2, X1, X4)
	SCHEDULE(X4, X5, X6, X3)
	ROUNDS($2, X1, X2, X5)
	SCHEDULE(X5, X6, X3, X4)

	ROUNDS($3, X2, X1, X6)
	SCHEDULE(X6, X3, X4, X5)
	ROUNDS($3, X1, X2, X3)
	LATE(X3, X4)
	MIDDLE(X3, X5)
	EARLY(X3, X6)
	ROUNDS($3, X2, X1, X4)
	LATE(X4, X5)
	MIDDLE(X4, X6)
	ROUNDS($3, X1, X2, X5)
	LATE(X5, X6)
	ROUNDS($3, X2, X1, X6)

	SHA1NEXTE X8, X1
	PADDD     X7, X0
	ADDQ      $64, SI
	DECQ      CX
	JNZ       block

	PSHUFD $0x1b, X0, X0
	MOVOU  X0, (DI)
	PEXTRD $3, X1, 16(DI)
	RET

package hot

import "encoding/binary"

// Opcodes of WebAssembly that the translator uses.
const (
	wUnreachable = 0x00
	wBlock       = 0x02
	wLoop        = 0x03
	wIf          = 0x04
	wElse        = 0x05
	wEnd         = 0x0b
	wBr          = 0x0c
	wBrIf        = 0x0d
	wBrTable     = 0x0e
	wReturn      = 0x0f
	wCall        = 0x10
	wDrop        = 0x1a
	wSelect      = 0x1b
	wLocalGet    = 0x20
	wLocalSet    = 0x21
	wLocalTee    = 0x22
	wGlobalGet   = 0x23
	wGlobalSet   = 0x24

	wI32Load    = 0x28
	wI64Load    = 0x29
	wI32Load8S  = 0x2c
	wI32Load8U  = 0x2d
	wI32Load16S = 0x2e
	wI32Load16U = 0x2f
	wI32Store   = 0x36
	wI64Store   = 0x37
	wI32Store8  = 0x3a
	wI32Store16 = 0x3b

	wI32Const = 0x41
	wI64Const = 0x42
	wI32Eqz   = 0x45
	wI32Eq    = 0x46
	wI32Ne    = 0x47
	wI32LtS   = 0x48
	wI32LtU   = 0x49
	wI32GtS   = 0x4a
	wI32GtU   = 0x4b
	wI32LeU   = 0x4d
	wI32GeS   = 0x4e
	wI32GeU   = 0x4f

	wI32Clz    = 0x67
	wI32Ctz    = 0x68
	wI32Popcnt = 0x69
	wI32Add    = 0x6a
	wI32Sub    = 0x6b
	wI32Mul    = 0x6c
	wI32DivS   = 0x6d
	wI32DivU   = 0x6e
	wI32RemS   = 0x6f
	wI32RemU   = 0x70
	wI32And    = 0x71
	wI32Or     = 0x72
	wI32Xor    = 0x73
	wI32Shl    = 0x74
	wI32ShrS   = 0x75
	wI32ShrU   = 0x76
	wI32Rotl   = 0x77
	wI32Rotr   = 0x78

	wI64Mul  = 0x7e
	wI64ShrU = 0x88

	wI32WrapI64    = 0xa7
	wI64ExtendI32S = 0xac
	wI64ExtendI32U = 0xad
	wI32Extend8S   = 0xc0
	wI32Extend16S  = 0xc1

	wVoid = 0x40
	wI32  = 0x7f
	wI64  = 0x7e
	wFunc = 0x60
)

// code is WebAssembly being written.
type code []byte

func (c *code) op(ops ...byte) { *c = append(*c, ops...) }
func (c *code) u32(v uint32)   { *c = binary.AppendUvarint(*c, uint64(v)) }

// s64 appends a signed LEB128 number.
func (c *code) s64(v int64) {
	for v < -64 || v > 63 {
		*c = append(*c, byte(v)|0x80)
		v >>= 7
	}
	*c = append(*c, byte(v)&0x7f)
}

func (c *code) i32(v int32)             { c.op(wI32Const); c.s64(int64(v)) }
func (c *code) get(local uint32)        { c.op(wLocalGet); c.u32(local) }
func (c *code) set(local uint32)        { c.op(wLocalSet); c.u32(local) }
func (c *code) tee(local uint32)        { c.op(wLocalTee); c.u32(local) }
func (c *code) globalGet(global uint32) { c.op(wGlobalGet); c.u32(global) }
func (c *code) globalSet(global uint32) { c.op(wGlobalSet); c.u32(global) }
func (c *code) br(depth int)            { c.op(wBr); c.u32(uint32(depth)) }

// mem appends a load or store at a constant offset from the address on the
// stack; nothing is said of alignment.
func (c *code) mem(op byte, offset uint32) { c.op(op, 0); c.u32(offset) }

// section appends a section, or anything else that its length precedes.
func (c *code) section(id byte, body code) {
	c.op(id)
	c.sized(body)
}

func (c *code) sized(body code) {
	c.u32(uint32(len(body)))
	*c = append(*c, body...)
}

// str appends a name.
func (c *code) str(s string) { c.sized(code(s)) }

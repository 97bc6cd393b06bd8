//go:build !libopus

package codec

func newOpusDecoder(rate int) Decoder { return newGoDecoder(rate) }

func newOpusEncoder(rate int, o EncoderOptions) Encoder { return newGoEncoder(rate, o) }

//go:build libopus

package codec

/*
#cgo pkg-config: opus
#include <opus.h>

// cgo cannot call functions of variable arguments.
static int set(OpusEncoder *e, int request, opus_int32 value) { return opus_encoder_ctl(e, request, value); }
*/
import "C"

import (
	"runtime"
	"unsafe"
)

func newOpusDecoder(rate int) Decoder { return newCDecoder(rate) }

func newOpusEncoder(rate int, o EncoderOptions) Encoder { return newCEncoder(rate, o) }

// A cDecoder is libopus.
type cDecoder struct {
	state *C.OpusDecoder
	rate  int
}

func newCDecoder(rate int) *cDecoder {
	var fault C.int
	d := &cDecoder{C.opus_decoder_create(C.opus_int32(rate), 1, &fault), rate}
	if fault != C.OPUS_OK {
		panic("opus decoder: " + C.GoString(C.opus_strerror(fault))) // the rate is one of ours
	}
	runtime.AddCleanup(d, func(s *C.OpusDecoder) { C.opus_decoder_destroy(s) }, d.state)
	return d
}

func (d *cDecoder) Decode(pcm []int16, payload []byte) (int, error) {
	if len(payload) == 0 || len(pcm) == 0 {
		return 0, ErrMalformed
	}
	n := d.decode(pcm, payload, 0)
	if n < 0 {
		return 0, ErrMalformed
	}
	return n, nil
}

func (d *cDecoder) decode(pcm []int16, payload []byte, fec C.int) int {
	var data *C.uchar
	if len(payload) > 0 {
		data = (*C.uchar)(unsafe.Pointer(&payload[0]))
	}
	n := C.opus_decode(d.state, data, C.opus_int32(len(payload)), (*C.opus_int16)(unsafe.Pointer(&pcm[0])), C.int(len(pcm)), fec)
	runtime.KeepAlive(d)
	return int(n)
}

func (d *cDecoder) Conceal(pcm []int16, next []byte) {
	for len(pcm) > 0 {
		n := stretch(len(pcm), d.rate)
		if n == 0 {
			clear(pcm)
			return
		}
		var got int
		if len(next) > 0 && n == len(pcm) {
			got = d.decode(pcm[:n], next, 1)
		} else {
			got = d.decode(pcm[:n], nil, 0)
		}
		if got < 0 {
			clear(pcm[:n])
		}
		pcm = pcm[n:]
	}
}

// A cEncoder is libopus.
type cEncoder struct {
	state   *C.OpusEncoder
	scratch [opusMost]byte
}

func newCEncoder(rate int, o EncoderOptions) *cEncoder {
	var fault C.int
	e := &cEncoder{state: C.opus_encoder_create(C.opus_int32(rate), 1, C.OPUS_APPLICATION_VOIP, &fault)}
	if fault != C.OPUS_OK {
		panic("opus encoder: " + C.GoString(C.opus_strerror(fault))) // the rate is one of ours
	}
	C.set(e.state, C.OPUS_SET_BITRATE_REQUEST, C.opus_int32(bitrateOf(rate, o)))
	C.set(e.state, C.OPUS_SET_COMPLEXITY_REQUEST, opusComplexity)
	if o.FEC {
		C.set(e.state, C.OPUS_SET_INBAND_FEC_REQUEST, 1)
		C.set(e.state, C.OPUS_SET_PACKET_LOSS_PERC_REQUEST, opusLoss)
	}
	if o.DTX {
		C.set(e.state, C.OPUS_SET_DTX_REQUEST, 1)
	}
	runtime.AddCleanup(e, func(s *C.OpusEncoder) { C.opus_encoder_destroy(s) }, e.state)
	return e
}

func (e *cEncoder) Encode(to []byte, pcm []int16) []byte {
	if len(pcm) == 0 {
		return to
	}
	n := C.opus_encode(e.state, (*C.opus_int16)(unsafe.Pointer(&pcm[0])), C.int(len(pcm)), (*C.uchar)(unsafe.Pointer(&e.scratch[0])), opusMost)
	runtime.KeepAlive(e)
	return opusPacket(to, e.scratch[:], int(n), nil)
}

package codec

// G.722 splits speech of 16000 samples a second by a pair of mirror filters (QMF) into a
// lower and a higher band of 8000, and encodes the first by 6 bits a sample and the
// second by 2, each as the difference from a prediction (ADPCM). The names in comments
// are those of the blocks of ITU-T G.722 sections 3 and 4.

type g722Decoder struct {
	low, high band
	history   mirror
	loss      concealer
}

type g722Encoder struct {
	low, high band
	history   mirror
}

// Decode makes two samples of each octet.
func (d *g722Decoder) Decode(pcm []int16, payload []byte) (int, error) {
	if len(payload) == 0 || 2*len(payload) > len(pcm) {
		return 0, ErrMalformed
	}
	pcm = pcm[:2*len(payload)]
	for i, code := range payload {
		low, high := int(code&0x3f), int(code>>6)
		rl := d.low.predicted + d.low.step*inverse6[low]>>15 // BLOCK 5L
		rl = min(max(rl, -16384), 16383)
		rh := d.high.predicted + d.high.step*inverse2[high]>>15 // BLOCK 5H
		rh = min(max(rh, -16384), 16383)
		d.low.adaptLow(low)
		d.high.adaptHigh(high)
		a, b := d.history.filter(rl+rh, rl-rh)
		pcm[2*i] = int16(saturate(b >> 11))
		pcm[2*i+1] = int16(saturate(a >> 11))
	}
	d.loss.good(pcm)
	return len(pcm), nil
}

func (d *g722Decoder) Conceal(pcm []int16, _ []byte) { d.loss.lost(pcm) }

// Encode makes an octet of each two samples.
func (e *g722Encoder) Encode(to []byte, pcm []int16) []byte {
	for i := 0; i+1 < len(pcm); i += 2 {
		odd, even := e.history.filter(int(pcm[i]), int(pcm[i+1]))
		low := quantizeLow(saturate((even+odd)>>14-e.low.predicted), e.low.step)
		high := quantizeHigh(saturate((even-odd)>>14-e.high.predicted), e.high.step)
		e.low.adaptLow(low)
		e.high.adaptHigh(high)
		to = append(to, byte(high<<6|low))
	}
	return to
}

// quantizeLow encodes a difference of the lower band (QUANTL).
func quantizeLow(d, step int) int {
	size := d
	if d < 0 {
		size = -(d + 1)
	}
	i := 1
	for i < 30 && size >= levels6[i]*step>>12 {
		i++
	}
	if d < 0 {
		return codesNegative[i]
	}
	return codesPositive[i]
}

// quantizeHigh encodes a difference of the higher band (QUANTH).
func quantizeHigh(d, step int) int {
	size := d
	if d < 0 {
		size = -(d + 1)
	}
	large := 0
	if size >= 564*step>>12 {
		large = 1
	}
	if d < 0 {
		return 1 - large
	}
	return 3 - large
}

// A mirror is the history of a pair of filters.
type mirror [24]int

// filter takes two samples and returns the sums of the odd and the even taps (QMF).
func (m *mirror) filter(x, y int) (odd, even int) {
	copy(m[:], m[2:])
	m[22], m[23] = x, y
	for i, c := range mirrorTaps {
		odd += m[2*i] * c
		even += m[2*i+1] * mirrorTaps[11-i]
	}
	return odd, even
}

// A band is the state of one band's predictor and scale.
type band struct {
	predicted int    // from both parts (PREDIC)
	zero      int    // from the zeros alone (FILTEZ)
	r         [3]int // reconstructed signal; the newest first
	p         [3]int // partially reconstructed signal
	a         [3]int // poles; 0 is not used
	d         [7]int // differences
	b         [7]int // zeros
	scale     int    // logarithm of the step
	step      int
}

func newBand(step int) band { return band{step: step} }

// adaptLow takes a code of the lower band: prediction goes by its 4 upper bits.
func (b *band) adaptLow(code int) {
	code >>= 2
	d := b.step * inverse4[code] >> 15
	b.scale = min(max(b.scale*127>>7+weights4[code], 0), 18432) // LOGSCL
	b.step = stepOf(b.scale, 8)
	b.adapt(d)
}

func (b *band) adaptHigh(code int) {
	d := b.step * inverse2[code] >> 15
	b.scale = min(max(b.scale*127>>7+weights2[code], 0), 22528) // LOGSCH
	b.step = stepOf(b.scale, 10)
	b.adapt(d)
}

// stepOf returns the step of a scale (SCALEL, SCALEH).
func stepOf(scale, base int) int {
	mantissa, shift := exponents[scale>>6&31], base-scale>>11
	if shift < 0 {
		return mantissa << -shift << 2
	}
	return mantissa >> shift << 2
}

// adapt takes a difference, adapts the predictor, and predicts anew (BLOCK 4).
func (b *band) adapt(d int) {
	b.d[0] = d
	b.r[0] = saturate(b.predicted + d)
	b.p[0] = saturate(b.zero + d)

	// UPPOL2
	w := saturate(b.a[1] << 2)
	if sameSign(b.p[0], b.p[1]) {
		w = min(-w, 32767)
	}
	a2 := w>>7 + b.a[2]*32512>>15
	if sameSign(b.p[0], b.p[2]) {
		a2 += 128
	} else {
		a2 -= 128
	}
	a2 = min(max(a2, -12288), 12288)
	// UPPOL1
	a1 := b.a[1] * 32640 >> 15
	if sameSign(b.p[0], b.p[1]) {
		a1 += 192
	} else {
		a1 -= 192
	}
	limit := saturate(15360 - a2)
	b.a[1], b.a[2] = min(max(saturate(a1), -limit), limit), a2

	// UPZERO, DELAYA and FILTEZ
	grow := 128
	if d == 0 {
		grow = 0
	}
	for i := 1; i < 7; i++ {
		w := b.b[i] * 32640 >> 15
		if sameSign(d, b.d[i]) {
			w += grow
		} else {
			w -= grow
		}
		b.b[i] = saturate(w)
	}
	copy(b.d[1:], b.d[:6])
	b.zero = 0
	for i := 6; i > 0; i-- {
		b.zero += b.b[i] * saturate(2*b.d[i]) >> 15
	}
	b.zero = saturate(b.zero)

	// DELAYA, FILTEP and PREDIC
	copy(b.r[1:], b.r[:2])
	copy(b.p[1:], b.p[:2])
	poles := saturate(b.a[1]*saturate(2*b.r[1])>>15 + b.a[2]*saturate(2*b.r[2])>>15)
	b.predicted = saturate(poles + b.zero)
}

func sameSign(x, y int) bool { return (x < 0) == (y < 0) }

// The tables of ITU-T G.722: the filter (table 11), decision levels and codes of the lower
// band (table 14, 15), and the inverse quantizers and weights by code (tables 17 to 21).
var (
	mirrorTaps = [12]int{3, -11, 12, 32, -210, 951, 3876, -805, 362, -156, 53, -11}
	levels6    = [30]int{
		0, 35, 72, 110, 150, 190, 233, 276, 323, 370, 422, 473, 530, 587, 650,
		714, 786, 858, 940, 1023, 1121, 1219, 1339, 1458, 1612, 1765, 1980, 2195, 2557, 2919,
	}
	codesNegative = [31]int{
		0, 63, 62, 31, 30, 29, 28, 27, 26, 25, 24, 23, 22, 21, 20, 19,
		18, 17, 16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4,
	}
	codesPositive = [31]int{
		0, 61, 60, 59, 58, 57, 56, 55, 54, 53, 52, 51, 50, 49, 48, 47,
		46, 45, 44, 43, 42, 41, 40, 39, 38, 37, 36, 35, 34, 33, 32,
	}
	inverse6 = [64]int{
		-136, -136, -136, -136, -24808, -21904, -19008, -16704,
		-14984, -13512, -12280, -11192, -10232, -9360, -8576, -7856,
		-7192, -6576, -6000, -5456, -4944, -4464, -4008, -3576,
		-3168, -2776, -2400, -2032, -1688, -1360, -1040, -728,
		24808, 21904, 19008, 16704, 14984, 13512, 12280, 11192,
		10232, 9360, 8576, 7856, 7192, 6576, 6000, 5456,
		4944, 4464, 4008, 3576, 3168, 2776, 2400, 2032,
		1688, 1360, 1040, 728, 432, 136, -432, -136,
	}
	inverse4 = [16]int{
		0, -20456, -12896, -8968, -6288, -4240, -2584, -1200,
		20456, 12896, 8968, 6288, 4240, 2584, 1200, 0,
	}
	weights4 = [16]int{
		-60, 3042, 1198, 538, 334, 172, 58, -30,
		3042, 1198, 538, 334, 172, 58, -30, -60,
	}
	inverse2  = [4]int{-7408, -1616, 7408, 1616}
	weights2  = [4]int{798, -214, 798, -214}
	exponents = [32]int{
		2048, 2093, 2139, 2186, 2233, 2282, 2332, 2383, 2435, 2489, 2543, 2599, 2656, 2714, 2774, 2834,
		2896, 2960, 3025, 3091, 3158, 3228, 3298, 3371, 3444, 3520, 3597, 3676, 3756, 3838, 3922, 4008,
	}
)

package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
)

// maxMusic is the longest music on hold, in octets: ten minutes.
const maxMusic = 10 * 60 * 8000 * 2

// readMusic reads a WAV file with 16 bits, one channel, 8000 samples a second.
func readMusic(name string) ([]int16, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	samples, err := parseWAV(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return samples, nil
}

// parseWAV returns the samples of a RIFF WAVE file. Its chunks may come in any number; what
// is between the format and the data is passed over.
func parseWAV(b []byte) ([]int16, error) {
	if len(b) < 12 || string(b[:4]) != "RIFF" || string(b[8:12]) != "WAVE" {
		return nil, errors.New("it is no WAV file")
	}
	fit := false
	for b = b[12:]; len(b) >= 8; {
		name, size := string(b[:4]), int(binary.LittleEndian.Uint32(b[4:8]))
		body := b[8:min(len(b), 8+size)]
		switch name {
		case "fmt ":
			if len(body) < 16 {
				return nil, errors.New("its format is cut off")
			}
			word := func(at int) int { return int(binary.LittleEndian.Uint16(body[at:])) }
			fit = word(0) == 1 && word(2) == 1 && binary.LittleEndian.Uint32(body[4:]) == 8000 && word(14) == 16
		case "data":
			switch {
			case !fit:
				return nil, errors.New("it is not of 16 bits, one channel, 8000 samples a second")
			case len(body) < 2*8000 || len(body) > maxMusic:
				return nil, errors.New("it is shorter than a second or longer than ten minutes")
			}
			samples := make([]int16, len(body)/2)
			for i := range samples {
				samples[i] = int16(binary.LittleEndian.Uint16(body[2*i:]))
			}
			return samples, nil
		}
		b = b[min(len(b), 8+size+size%2):]
	}
	return nil, errors.New("it has no sound in it")
}

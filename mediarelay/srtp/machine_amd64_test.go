package srtp

func setMachine(c, h bool) { ciphers, hashes = c, h }

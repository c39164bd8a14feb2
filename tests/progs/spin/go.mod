module gospect.test/spin

go 1.18
